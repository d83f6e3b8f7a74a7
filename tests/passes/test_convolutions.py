"""Convolutions that become one: in a row, and side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netdsl.ir.graph import Graph, Value
from netdsl.passes.base import Mode
from netdsl.passes.compose_1x1 import Compose1x1
from netdsl.passes.fuse_epilogue import FuseEpilogue
from netdsl.passes.merge_siblings import MergeSiblings
from tests.passes.nets import Net, layers, reasons, rewrite


@pytest.mark.parametrize(("bias1", "bias2"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_window_then_1x1(bias1: bool, bias2: bool, stride: int) -> None:
    net = Net()
    y = net.conv(net.input(3, 9, 8), 16, 3, pad=1, stride=2, bias=bias1)
    graph = net.done(y=net.conv(y, 2, 1, stride=stride, bias=bias2))
    after, report = rewrite(graph, Compose1x1())
    assert layers(after) == ["conv1 = conv(x)"]
    assert report.rewritten[0].text.startswith("one convolution instead of two: ")
    assert {span.line for span in after.node("conv1").spans} == {1, 2}


@pytest.mark.parametrize(
    ("bias1", "bias2", "pad"), [(True, True, 0), (True, False, 0), (False, True, 1), (False, False, 2)]
)
def test_1x1_then_a_window(bias1: bool, bias2: bool, pad: int) -> None:
    net = Net()
    y = net.conv(net.input(3, 9, 8), 16, 1, bias=bias1)
    graph = net.done(y=net.conv(y, 5, 3, stride=2, dilation=(2, 1), pad=pad, bias=bias2))
    after, _ = rewrite(graph, Compose1x1())
    assert layers(after) == ["conv1 = conv(x)"]


Chain = Callable[[Net, Value], Value]


def twice_the_same(net: Net, x: Value) -> Value:
    y = net.conv(x, 3, 1)
    return net.conv(y, 3, 1, weights=y.node.inputs[1:])


REFUSED_CHAINS: dict[str, Chain] = {
    "conv2 pads with zeros, where the bias of conv1 belongs": (
        lambda net, x: net.conv(net.conv(x, 16, 1), 5, 3, pad=1)
    ),
    "conv1 has stride or padding before a larger kernel": (lambda net, x: net.conv(net.conv(x, 16, 1, stride=2), 5, 3)),
    "conv2 pads a 1x1 window": lambda net, x: net.conv(net.conv(x, 16, 3), 5, 1, pad=1),
    "a grouped convolution has no dense product of the same size": (
        lambda net, x: net.conv(net.conv(x, 16, 3), 4, 1, groups=2)
    ),
    "the product is not cheaper: 1536 multiply-accumulates against 1408": (
        lambda net, x: net.conv(net.conv(x, 2, 1), 8, 1)
    ),
    "conv1.weight is also read by conv2": twice_the_same,
}


@pytest.mark.parametrize("reason", REFUSED_CHAINS)
def test_compositions_refused(reason: str) -> None:
    net = Net()
    graph = net.done(y=REFUSED_CHAINS[reason](net, net.input(3, 8, 8)))
    after, report = rewrite(graph, Compose1x1())
    assert layers(after) == layers(graph)
    assert reasons(report) == {"conv2": reason}


def test_composition_needs_the_middle_for_itself() -> None:
    net = Net()
    middle = net.conv(net.input(3, 8, 8), 16, 1)
    graph = net.done(y=net.conv(middle, 2, 1), z=middle)
    assert reasons(rewrite(graph, Compose1x1())[1]) == {"conv2": "conv1 is output 'z'"}
    del graph.outputs["z"]
    training = rewrite(graph, Compose1x1(), mode=Mode.TRAINING)[1]
    assert reasons(training) == {"conv2": "training graph: both weights are trained"}


def inception(net: Net, widths: tuple[int, ...], **attrs: Any) -> Graph:
    """1x1 reductions with relu on one value, each followed by a 3x3."""
    x = net.layer("lrn", net.input(3, 8, 8))
    branches = [net.conv(net.layer("relu", net.conv(x, width, 1, **attrs)), 4, 3, pad=1) for width in widths]
    return net.done(y=net.layer("concat", *branches))


def test_siblings_become_one_convolution_with_slices() -> None:
    net = Net()
    after, report = rewrite(inception(net, (8, 16, 32)), MergeSiblings())
    assert layers(after) == [
        "lrn1 = lrn(x)",
        "conv3.merged = conv(lrn1)",
        "conv3.merged.relu = relu(conv3.merged)",
        "relu2.slice = slice(conv3.merged.relu)",
        "relu3.slice = slice(conv3.merged.relu)",
        "relu1.slice = slice(conv3.merged.relu)",
        "conv2 = conv(relu1.slice)",
        "conv4 = conv(relu2.slice)",
        "conv6 = conv(relu3.slice)",
        "concat1 = concat(conv2, conv4, conv6)",
    ]
    assert report.rewritten[0].text == "one convolution of 16 + 32 + 8 channels, sliced"
    fused, _ = rewrite(after, FuseEpilogue())
    assert "conv3.merged = conv(lrn1) then max(x0, 0)" in layers(fused)


def test_siblings_of_which_one_has_a_bias() -> None:
    net = Net()
    x = net.input(3, 8, 8)
    a = net.layer("softmax", net.conv(x, 16, 1, bias=False))
    b = net.layer("softmax", net.conv(x, 16, 1))
    after, _ = rewrite(net.done(a=a, b=b), MergeSiblings())
    assert sum(node.op == "conv" for node in after.nodes) == 1


def test_siblings_that_differ() -> None:
    net = Net()
    x = net.input(3, 8, 8)
    heads = [
        net.layer("softmax", net.layer("relu", net.conv(x, 16, 1))),
        net.layer("softmax", net.layer("tanh", net.conv(x, 16, 1))),
        net.layer("softmax", net.conv(x, 16, 1, stride=2)),
    ]
    _, report = rewrite(net.done(a=heads[0], b=heads[1], c=heads[2]), MergeSiblings())
    assert reasons(report) == {f"conv{n}": "no sibling is left with its stride and activation" for n in (1, 2, 3)}


def test_siblings_whose_slices_would_be_copies() -> None:
    net = Net()
    graph = inception(net, (8, 24, 16))
    after, report = rewrite(graph, MergeSiblings())
    assert reasons(report) == {"conv3": "the slice behind its 24 channels would not start at a multiple of 16"}
    assert sum(node.op == "conv" for node in after.nodes) == 5


def test_siblings_that_are_stored_elsewhere() -> None:
    net = Net()
    x = net.input(16, 8, 8)
    a, b, c = (net.conv(x, 16, 1) for _ in range(3))
    graph = net.done(y=net.layer("concat", a, x), z=net.layer("add", b, x), w=c)
    _, report = rewrite(graph, MergeSiblings())
    assert reasons(report) == {
        "conv1": "conv1 is stored into concat1 in place",
        "conv2": "add1 can be fused with conv2 as it is",
        "conv3": "conv3 is a result of the network, stored in its own place",
    }


def test_siblings_with_one_weight_or_in_training() -> None:
    net = Net()
    x = net.input(3, 8, 8)
    first = net.conv(x, 16, 1)
    second = net.conv(x, 16, 1, weights=first.node.inputs[1:])
    graph = net.done(a=net.layer("softmax", first), b=net.layer("softmax", second))
    assert reasons(rewrite(graph, MergeSiblings())[1]) == {
        "conv1": "conv1.weight serves another layer too",
        "conv2": "conv1.weight serves another layer too",
    }
    training = rewrite(graph, MergeSiblings(), mode=Mode.TRAINING)[1]
    assert set(reasons(training).values()) == {"training graph: each weight is trained"}
