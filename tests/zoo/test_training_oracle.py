"""One training step of whole networks on this CPU against the same step in float64.

A rectifier's gradient jumps at 0: where float32 and float64 fall on different sides for a single pixel, gradients
differ by far more than rounding, on any machine (densenet121 at 64 x 64 has such pixels). So the networks are
taken with tanh for relu: their graphs, plans and kernels are the same but for that function.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from netdsl.driver import Build, Origin, load, make_executor
from netdsl.ir.graph import Graph
from netdsl.reference import ReferenceStep
from netdsl.report.default_step import default_step
from netdsl.resolve import resolve
from netdsl.weights.initialize import initial_parameters
from tests.zoo.nets import step_inputs

LOSS, GRADIENT = 1e-5, 1e-3


def smooth(name: str, side: int, folder: Path) -> Graph:
    """The training step of a zoo network for images of ``side`` pixels, tanh for relu."""
    found = resolve(f"zoo:{name}")
    text = re.sub(r"-> relu\b", "-> tanh", found.path.read_text(encoding="utf-8"))
    text = re.sub(r"input image: \[(\d+),.*\]", rf"input image: [\1, {side}, {side}]", text)
    path = folder / f"{name}.net"
    path.write_text(text, encoding="utf-8")
    graph = load(Origin(str(path), found.net)).graph
    assert not any(node.op == "relu" for node in graph.nodes)
    return default_step(graph)


@pytest.mark.parametrize(
    ("name", "side", "batch"),
    [("lenet5", 32, 8), ("alexnet", 67, 2), ("googlenet", 80, 2), ("densenet121", 64, 4), ("unet_bn", 32, 3)],
)
def test_a_step_computes_what_its_graph_says(name: str, side: int, batch: int, tmp_path: Path) -> None:
    graph = smooth(name, side, tmp_path)
    parameters, inputs = initial_parameters(graph.params, 1), step_inputs(graph, batch, 1)
    executor = make_executor(graph, parameters, Build(batch=batch, threads=2))
    reference = ReferenceStep(graph, parameters)
    found, expected = executor.step(inputs)["loss"], reference.step(inputs)["loss"]
    assert abs(found - expected) <= LOSS * abs(expected)
    after = executor.get_parameters()
    assert set(after) == set(reference.parameters)
    for key, value in reference.parameters.items():
        # How far the step moved it is what was computed; the old value's own rounding is no error.
        scale = np.abs(value - parameters[key]).max() * GRADIENT + 1e-6 * np.abs(value).max()
        assert np.abs(after[key] - value).max() <= scale, key
