"""Convolutions of some maps each, concatenated, become one of all maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.ir.graph import Graph, Value
from netdsl.passes.base import Mode
from netdsl.passes.merge_maps import MergeMaps
from tests.passes.nets import Net, layers, reasons, rewrite


def some(net: Net, x: Value, maps: Sequence[int]) -> Value:
    """These channels of x."""
    parts = [net.layer("slice", x, start=map, stop=map + 1) for map in maps]
    return parts[0] if len(parts) == 1 else net.layer("concat", *parts)


def table(net: Net, connections: Sequence[Sequence[int]], maps: int = 4, **attrs: Any) -> Graph:
    x = net.layer("lrn", net.input(maps, 7, 8))
    results = [net.conv(some(net, x, row), 1 + number % 2, 3, **attrs) for number, row in enumerate(connections)]
    return net.done(y=net.layer("concat", *results, name="maps"))


def test_a_table_of_connections() -> None:
    after, report = rewrite(table(Net(), [[0], [0, 1], [3, 2, 1], [0, 1, 2, 3]]), MergeMaps())
    assert layers(after) == ["lrn1 = lrn(x)", "maps.merged = conv(lrn1)"]
    assert report.rewritten[0].text == "one convolution instead of 4"
    weight = after.node("maps.merged").inputs[1]
    assert weight.type.shape == (6, 4, 3, 3)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=6), min_size=2, max_size=6),
    st.integers(0, 2), st.integers(1, 2), st.booleans(),
)  # fmt: skip
def test_any_table(connections: list[list[int]], pad: int, stride: int, bias: bool) -> None:
    """The same results, also of maps that are seen twice."""
    rewrite(table(Net(), connections, maps=5, pad=pad, stride=stride, bias=bias), MergeMaps())


def test_biases_of_some() -> None:
    net = Net()
    x = net.input(3, 8, 8)
    graph = net.done(y=net.layer("concat", net.conv(x, 2, 3, bias=False), net.conv(x, 3, 3)))
    after, _ = rewrite(graph, MergeMaps())
    assert layers(after) == ["concat1.merged = conv(x)"]


def others_read_it(net: Net, x: Value) -> list[Value]:
    results = [net.conv(x, 2, 3), net.conv(x, 2, 3)]
    net.graph.outputs["z"] = results[1]
    return results


def shared_weights(net: Net, x: Value) -> list[Value]:
    first = net.conv(some(net, x, [0, 1]), 2, 3)
    return [first, net.layer("conv", some(net, x, [2, 3]), weights=first.node.inputs[1:], channels=2, kernel=(3, 3))]


REFUSED: dict[str, Callable[[Net, Value], list[Value]]] = {
    "one convolution of all channels multiplies 4 registers a weight, these 4": (
        lambda net, x: [net.conv(some(net, x, [i, i + 1]), 1, 3) for i in (0, 2)]
    ),
    "conv2 is output 'z'": others_read_it,
    "conv1.weight is also read by conv2": shared_weights,
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refused(reason: str) -> None:
    net = Net()
    x = net.input(4, 8, 8)
    graph = net.done(y=net.layer("concat", *REFUSED[reason](net, x), name="maps"))
    after, report = rewrite(graph, MergeMaps())
    assert layers(after) == layers(graph)
    assert reasons(report) == {"maps": reason}


def test_training_keeps_every_weight() -> None:
    graph = table(Net(), [[0, 1], [1, 2], [2, 3]])
    assert reasons(rewrite(graph, MergeMaps(), mode=Mode.TRAINING)[1]) == {
        "maps": "training graph: each weight is trained"
    }


def test_other_windows_are_other_convolutions() -> None:
    net = Net()
    x = net.input(4, 8, 8)
    graph = net.done(y=net.layer("concat", net.conv(x, 2, 3, pad=1), net.conv(x, 2, 1)))
    after, report = rewrite(graph, MergeMaps())
    assert layers(after) == layers(graph)
    assert not report.rewritten and not reasons(report)
