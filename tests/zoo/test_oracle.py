"""Every zoo network, compiled for this CPU, against the float64 oracle on the graph as it was written.

Differences are measured in the maximum norm: the largest difference of an output over the largest magnitude the
oracle gives for it. The promise is 1e-4; the scores before a softmax are held to less.

Networks whose oracle takes long are run at a smaller input here, or (most relatives of others) not at all. With
``NETDSL_TEST_FULL=1`` the whole zoo is run at its own sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdsl.backend import backend_names, find_backend
from netdsl.diagnostics import DeviceMissing
from netdsl.driver import Build, make_executor
from netdsl.ir.graph import Graph
from netdsl.reference import Interpreter
from tests.zoo.chosen import RUN, SIDES
from tests.zoo.nets import FULL, image, show_scores, used_parameters, zoo_model

PROMISED, SCORES = 1e-4, 2e-5
DEVICES = [f"{name}:{device}" for name in backend_names() for device in find_backend(name).devices]
WITHOUT_PASSES = ["lenet5", "resnet18", "googlenet", "densenet121", "unet"]


def graph_of(name: str, folder: Path, full: bool = FULL) -> Graph:
    graph = zoo_model(name, None if full else SIDES.get(name), folder).graph
    show_scores(graph)
    return graph


def check(graph: Graph, build: Build) -> None:
    params, inputs = used_parameters(graph), image(graph, build.batch)
    found = make_executor(graph, params, build).step(inputs)
    expected = Interpreter(graph).run(inputs, params).outputs
    assert list(found) == list(expected)
    for name, value in expected.items():
        scale = np.abs(value).max()
        assert found[name].shape == value.shape and found[name].dtype == np.float32
        assert value.size == 1 or value.std() > 0.002 * scale > 0, f"{name} hardly depends on anything"
        difference = np.abs(found[name] - value).max() / scale
        assert difference <= (SCORES if name == "scores" else PROMISED), (name, difference)
        if name == "scores" and value.ndim == 2:
            np.testing.assert_array_equal(_first_five(found[name]), _first_five(value))


def _first_five(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The classes with the highest scores, in order."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :5]


@pytest.mark.parametrize("name", RUN)
def test_a_network_computes_what_its_graph_says(name: str, tmp_path: Path) -> None:
    check(graph_of(name, tmp_path), Build(threads=2))


@pytest.mark.parametrize("name", WITHOUT_PASSES)
def test_without_passes_and_with_several_samples(name: str, tmp_path: Path) -> None:
    check(graph_of(name, tmp_path, full=False), Build(threads=2, batch=3 if name == "lenet5" else 2, passes=[]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["googlenet", "se_resnet50", "densenet121"] if FULL else ["googlenet"])
def test_on_every_kind_of_cpu_that_this_one_can_stand_for(name: str, device: str, tmp_path: Path) -> None:
    graph = zoo_model(name, 80, tmp_path).graph
    show_scores(graph)
    try:
        check(graph, Build(target=device, threads=2))
    except DeviceMissing:
        pytest.skip(f"this machine cannot run code for {device}")
