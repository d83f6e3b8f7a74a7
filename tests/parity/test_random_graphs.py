"""Gradients of random graphs: the oracle's against PyTorch's, both in float64.

``tests/passes`` and ``tests/backends`` hold every pass, and compiled code, to the oracle on the same graphs.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from netdsl.ir.graph import Graph
from netdsl.ops.base import Array
from netdsl.reference import Interpreter
from tests.passes.nets import draw, parameter
from tests.passes.test_random_nets import COUNTERS, nets, training_step, with_loss

torch = pytest.importorskip("torch")

from tests.parity.twin import Twin  # noqa: E402  (it needs torch)

BATCH = 2


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graph=nets())
def test_gradients_are_the_library_s(graph: Graph) -> None:
    assume(any(node.attrs["trainable"] for node in graph.params))
    step, (graph, _) = training_step(graph, decay=0.0), with_loss(graph)
    batch: dict[str, Array] = {node.name: draw(node.name, node.types[0].full_shape(BATCH)) for node in graph.inputs}
    parameters = {node.name: parameter(node) for node in graph.params}
    zeros = {node.name: np.zeros(node.types[0].shape) for node in step.params if node.name not in parameters}
    updates = Interpreter(step).run({**batch, **COUNTERS}, {**parameters, **zeros}).updates
    twin = Twin(graph, parameters, seed=int(COUNTERS["seed"]))
    twin.loss(batch, int(COUNTERS["step"])).backward()
    trained = [node.name for node in graph.params if node.attrs["trainable"]]
    expected = {name: twin.value(name).grad.numpy() for name in trained}
    largest = max((np.abs(gradient).max() for gradient in expected.values()), default=0.0)
    for name, gradient in expected.items():
        # What is 0 by algebra (a bias before batch norm) is the rounding of larger numbers.
        scale = max(np.abs(gradient).max(), 1e-4 * largest)
        assert np.abs(updates[f"{name}.momentum"] - gradient).max() <= 1e-9 * scale, name
