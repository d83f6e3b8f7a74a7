"""The number of threads changes no bit, of whole networks and whole training steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.driver import Build, make_executor
from netdsl.ir.graph import Graph
from netdsl.report.default_step import default_step
from netdsl.weights.initialize import initial_parameters
from tests.zoo.nets import FULL, Array, image, step_inputs, used_parameters, zoo_model

THREADS = (1, 2, 3) if FULL else (1, 2)
TRAINED = [("resnet18", 64, 3), ("lenet5", None, 32), *([("googlenet", 80, 2)] if FULL else [])]


def same_bits(results: list[dict[str, Array]]) -> None:
    first, *others = results
    assert all(np.isfinite(array).all() for array in first.values())
    for other in others:
        assert list(other) == list(first)
        for name, array in first.items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("name", "side", "batch"), [("googlenet", None, 1), ("resnet18", 96, 3), ("unet_bn", 48, 1), ("lenet5", None, 64)]
)
def test_inference(name: str, side: int | None, batch: int, tmp_path: Path) -> None:
    graph = zoo_model(name, side, tmp_path).graph
    params, inputs = used_parameters(graph), image(graph, batch)
    same_bits([make_executor(graph, params, Build(batch=batch, threads=count)).step(inputs) for count in THREADS])


def trained(graph: Graph, batch: int, threads: int) -> dict[str, Array]:
    """Losses and all parameters after two steps."""
    params = initial_parameters(graph.params, 3)
    executor = make_executor(graph, params, Build(batch=batch, threads=threads))
    losses = [executor.step(step_inputs(graph, batch, step))["loss"] for step in range(2)]
    return {"losses": np.array(losses), **executor.get_parameters()}


@pytest.mark.parametrize(("name", "side", "batch"), TRAINED)
def test_training(name: str, side: int | None, batch: int, tmp_path: Path) -> None:
    graph = default_step(zoo_model(name, side, tmp_path, classes=10).graph)
    same_bits([trained(graph, batch, count) for count in THREADS])
