"""Every pass alone, and all together, leave the function of random networks unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.autodiff import training_graph
from netdsl.ir.graph import Graph, Value
from netdsl.ops import builder
from netdsl.ops.base import Array
from netdsl.passes import DEFAULT, explain, run_passes
from netdsl.passes.base import Mode, Pass
from netdsl.reference import Interpreter
from tests.passes.nets import Net, draw, parameter, rewrite

KINDS = [
    *("conv3", "conv1", "conv1", "grouped", "deconv", "shared", "reduced", "branches", "bn", "bn"),
    *("relu", "tanh", "prelu", "pool", "add", "mul", "concat", "gate", "dropout", "identity"),
]

IN_TRAINING = ("remove_identity", "cse", "merge_slices", "fuse_epilogue")
"""The passes that find something to rewrite in training steps: the others leave alone what is trained."""


def grow(choose: Any, net: Net, values: list[Value]) -> None:
    """One more layer over a value drawn from those there are."""
    x = choose(st.sampled_from([values[-1]] * 6 + values[-4:]))
    kind = choose(st.sampled_from(KINDS))
    channels = x.type.shape[0]
    alike = [value for value in values if value.type == x.type]
    bias = choose(st.booleans())
    match kind:
        case "conv3":
            y = net.conv(
                x, choose(st.sampled_from([2, 4])), 3, pad=1, bias=bias, stride=choose(st.sampled_from([1, 1, 2]))
            )
        case "conv1":
            y = net.conv(x, choose(st.sampled_from([2, 4, 16])), 1, bias=bias)
        case "grouped":
            y = net.conv(x, 2 * channels, 3, pad=1, bias=bias, groups=2 if channels % 2 == 0 else 1)
        case "deconv":
            y = net.layer("deconv", x, channels=channels, kernel=(3, 3), pad=(1,) * 4, bias=bias)
        case "shared":
            convs = [v.node for v in values if v.node.op == "conv" and v.node.inputs[0].type.shape[0] == channels]
            convs = [node for node in convs if node.attrs["groups"] == 1 and node.attrs["kernel"] == (1, 1)]
            first = choose(st.sampled_from(convs or [net.conv(x, 3, 1, bias=bias).node]))
            y = net.conv(x, first.types[0].shape[0], 1, weights=first.inputs[1:], bias=len(first.inputs) > 2)
        case "reduced":
            reduced = [net.layer("relu", net.conv(x, 16, 1)), net.layer("relu", net.conv(x, 3, 1))]
            y = net.layer("add", *(net.conv(part, channels, 3, pad=1) for part in reduced))
        case "branches":
            ends = [net.layer("relu", net.conv(x, width, size, pad=size // 2)) for width, size in ((3, 1), (2, 3))]
            y = net.layer("concat", *ends)
        case "pool":
            y = net.layer("maxpool", x, kernel=(3, 3), stride=(1, 1), pad=(1,) * 4)
        case "add" | "mul" | "concat":
            y = net.layer(kind, x, choose(st.sampled_from(alike)))
        case "gate":
            y = net.layer("mul", x, net.layer("sigmoid", net.layer("avgpool", x, kernel="global")))
        case _:
            y = net.layer(kind, x)
    values.append(y)


@st.composite
def nets(choose: Any) -> Graph:
    net = Net()
    values = [net.input(4, 6, 5)]
    for _ in range(choose(st.integers(3, 14))):
        grow(choose, net, values)
    read = {value for node in net.graph.nodes for value in node.inputs}
    outputs = [value for value in values[1:] if value not in read]
    if choose(st.booleans()):
        outputs.append(choose(st.sampled_from(values[1:])))
    return net.done(**{value.name: value for value in outputs})


QUICK = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("one", DEFAULT, ids=lambda one: one.name)
@QUICK
@given(graph=nets())
def test_each_pass_alone(one: Pass, graph: Graph) -> None:
    rewrite(graph, one)


@settings(QUICK, max_examples=100)
@given(graph=nets())
def test_all_passes_together(graph: Graph) -> None:
    after, report = rewrite(graph, *DEFAULT)
    again, second = run_passes(graph, verify=True)
    assert explain(report) == explain(second)
    assert [node.name for node in after.nodes] == [node.name for node in again.nodes]
    assert all(node.op not in ("bn", "dropout", "identity") for node in after.nodes) or report.refused


@settings(QUICK, max_examples=30)
@given(graph=nets(), order=st.permutations(DEFAULT))
def test_in_any_order(graph: Graph, order: list[Pass]) -> None:
    rewrite(graph, *order)


@settings(QUICK, max_examples=40)
@given(graph=nets())
def test_training_steps(graph: Graph) -> None:
    """Gradients (in the momentum), new weights and statistics: of each pass alone, and of all."""
    step = training_step(graph)
    expected = run_step(step)
    for name, passes in {**{one.name: (one,) for one in DEFAULT}, "all": DEFAULT}.items():
        after, report = run_passes(step, passes, mode=Mode.TRAINING, verify=True)
        if not report.rewritten:
            assert [node.name for node in after.nodes] == [node.name for node in step.nodes], name
            continue
        assert name in (*IN_TRAINING, "all"), f"{name} rewrites training steps: compile them with it alone"
        found = run_step(after)
        assert list(expected) == list(found)
        for key, value in expected.items():
            assert np.abs(found[key] - value).max() <= 1e-11 * max(1.0, np.abs(value).max()), (name, key)


def training_step(graph: Graph, decay: float = 1e-4) -> Graph:
    """One step of fitting every output to a target."""
    graph, loss = with_loss(graph)
    return training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.9, "weight_decay": decay}))


def with_loss(graph: Graph) -> tuple[Graph, Value]:
    """A copy, and the sum of its outputs' mean squared errors."""
    graph, _ = graph.copy()
    build = builder(graph)
    targets = {value: build.input(f"target_{name}", value.type) for name, value in graph.outputs.items()}
    terms = [build.op("mse", [value, target]).output for value, target in targets.items()]
    loss = build.op("add", terms, name="loss").output
    graph.outputs = {"loss": loss}
    graph.prune()
    return graph, loss


COUNTERS = {"lr": np.array(0.1), "step": np.array(3), "seed": np.array(5)}


def run_step(step: Graph) -> dict[str, Array]:
    drawn = {node.name: draw(node.name, node.types[0].full_shape(2)) for node in step.inputs}
    params = {node.name: parameter(node) for node in step.params}
    run = Interpreter(step).run({**drawn, **COUNTERS}, params)
    return {**run.outputs, **run.updates}
