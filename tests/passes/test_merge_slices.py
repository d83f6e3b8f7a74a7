"""Elementwise layers over all slices of a value becoming one."""

from __future__ import annotations

import pytest

from netdsl.ir.graph import Graph, Value
from netdsl.passes import run_passes
from netdsl.passes.base import Mode
from netdsl.passes.fuse_epilogue import FuseEpilogue
from netdsl.passes.merge_slices import MergeSlices
from tests.passes.nets import Net, layers, reasons, rewrite
from tests.passes.test_random_nets import run_step, training_step


def cut(net: Net, x: Value, *stops: int) -> list[Value]:
    starts = (0, *stops[:-1])
    return [net.layer("slice", x, start=start, stop=stop) for start, stop in zip(starts, stops, strict=True)]


def masked(net: Net, *, last: int = 7) -> tuple[Value, list[Value], list[Value]]:
    """A convolution's result in two slices, each times what a tanh makes of another input, and the tanhs."""
    g = net.conv(net.input(3, 5, 5), 7, 3, pad=1)
    gates = [net.layer("tanh", net.input(c, 5, 5, name=name)) for c, name in ((4, "p"), (last - 4, "q"))]
    ends = [net.layer("mul", gate, part) for gate, part in zip(gates, cut(net, g, 4, last), strict=True)]
    return g, gates, ends


def test_layers_over_all_slices_become_one_and_end_the_convolution() -> None:
    net = Net()
    a, b = cut(net, net.conv(net.input(3, 5, 5), 7, 3), 4, 7)
    graph = net.done(a=net.layer("relu", a), b=net.layer("relu", b))
    after, report = rewrite(graph, MergeSlices(), FuseEpilogue())
    assert layers(after) == [
        "conv1 = conv(x) then max(x0, 0)",
        "relu1.slice = slice(conv1)",
        "relu2.slice = slice(conv1)",
    ]
    assert report.rewritten[0].nodes == ("relu1", "relu2")


def test_what_else_they_read_may_be_parts_of_a_concatenation() -> None:
    net = Net()
    x = net.input(3, 5, 5, name="y")
    gates = [net.layer("tanh", net.conv(x, channels, 1)) for channels in (4, 3)]
    gate = net.layer("concat", *gates)
    parts = cut(net, net.conv(net.input(3, 5, 5), 7, 1), 4, 7)
    ends = [net.layer("mul", one, part) for one, part in zip(gates, parts, strict=True)]
    after, _ = rewrite(net.done(a=ends[0], b=ends[1], c=gate), MergeSlices(), FuseEpilogue())
    assert "conv3 = conv(x, concat1) then mul(x1, x0)" in layers(after)


def test_or_slices_of_another_value() -> None:
    net = Net()
    x = net.input(3, 5, 5)
    pairs = zip(cut(net, net.conv(x, 7, 1), 4, 7), cut(net, net.conv(x, 7, 1), 4, 7), strict=True)
    after, _ = rewrite(net.done(**{f"y{i}": net.layer("add", a, b) for i, (a, b) in enumerate(pairs)}), MergeSlices())
    assert layers(after)[2] == "add1.whole = map(conv1, conv2)"


def test_gradients_of_concatenated_branches_are_masked_as_one() -> None:
    net = Net()
    x = net.input(3, 5, 5)
    ends = [net.layer("relu", net.layer("bn", net.conv(x, channels, 1))) for channels in (4, 3)]
    step = training_step(net.done(y=net.conv(net.layer("concat", *ends), 2, 3, pad=1)))
    after, _ = run_passes(step, (MergeSlices(), FuseEpilogue()), mode=Mode.TRAINING, verify=True)
    expected, found = run_step(step), run_step(after)
    for name, value in expected.items():
        assert abs(found[name] - value).max() <= 1e-12 * max(abs(value).max(), 1.0), name
    gradient = next(node for node in after.nodes if node.op == "conv_grad_input")
    assert [value.name for value in gradient.epilogue_inputs] == ["concat1"]
    assert not [node for node in after.nodes if node.op == "map" and node.types[0].batched]


def part_is_missing(net: Net) -> Graph:
    _, gates, ends = masked(net, last=6)
    return net.done(a=ends[0], b=ends[1], c=net.layer("concat", *gates))


def read_whole(net: Net) -> Graph:
    g, gates, ends = masked(net)
    return net.done(a=ends[0], b=ends[1], c=net.layer("concat", *gates), g=net.layer("lrn", g))


def no_concatenation(net: Net) -> Graph:
    _, _, ends = masked(net)
    return net.done(a=ends[0], b=ends[1])


def concatenated_later(net: Net) -> Graph:
    _, gates, ends = masked(net)
    return net.done(a=ends[0], b=ends[1], c=net.layer("concat", *gates))


def in_another_order(net: Net) -> Graph:
    g = net.conv(net.input(3, 5, 5), 6, 3, pad=1)
    gates = [net.layer("tanh", net.input(3, 5, 5, name=name)) for name in "pq"]
    whole = net.layer("concat", *reversed(gates))
    ends = [net.layer("mul", gate, part) for gate, part in zip(gates, cut(net, g, 3, 6), strict=True)]
    return net.done(a=ends[0], b=ends[1], c=whole)


def different(net: Net) -> Graph:
    a, b = cut(net, net.conv(net.input(3, 5, 5), 7, 3), 4, 7)
    return net.done(a=net.layer("relu", a), b=net.layer("tanh", b))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (part_is_missing, "conv1 is more than the slices that are read alone"),
        (read_whole, "conv1 is more than the slices that are read alone"),
        (no_concatenation, "what is read beside the slices of conv1 is nowhere in one piece"),
        (in_another_order, "what is read beside the slices of conv1 is nowhere in one piece"),
        (concatenated_later, "mul1 runs before all of its operands are there"),
        (different, "the layers over the slices of conv1 differ"),
    ],
)
def test_refused(build: object, reason: str) -> None:
    net = Net()
    assert callable(build)
    graph = build(net)
    after, report = rewrite(graph, MergeSlices())
    assert layers(after) == layers(graph)
    assert list(reasons(report).values()) == [reason]


def test_a_slice_that_others_read_stays() -> None:
    net = Net()
    a, b = cut(net, net.conv(net.input(3, 5, 5), 7, 3), 4, 7)
    graph = net.done(a=net.layer("relu", a), b=net.layer("relu", b), c=net.layer("lrn", b))
    assert layers(rewrite(graph, MergeSlices())[0]) == layers(graph)
