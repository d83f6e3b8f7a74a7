"""Batch norms moving into weights, before and behind."""

from __future__ import annotations

from typing import Any

import pytest

from netdsl.ir.graph import Graph
from netdsl.passes.base import Mode
from netdsl.passes.fold_bn import FoldBn
from netdsl.passes.fold_bn_forward import FoldBnForward
from netdsl.passes.scale_bn import ScaleBn
from tests.passes.nets import Net, layers, reasons, rewrite


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("op", ["conv", "deconv"])
def test_bn_moves_into_the_convolution_before_it(op: str, groups: int, bias: bool) -> None:
    net = Net()
    x = net.input(4, 7, 6)
    y = net.layer(op, x, channels=6, kernel=(3, 2), stride=(2, 1), pad=(1, 1, 0, 1), groups=groups, bias=bias)
    after, report = rewrite(net.done(y=net.layer("relu", net.layer("bn", y))), FoldBn())
    assert layers(after) == [f"{op}1 = {op}(x)", f"relu1 = relu({op}1)"]
    assert {span.line for span in after.node(f"{op}1").spans} == {1, 2}
    assert [entry.text for entry in report.rewritten] == [f"scale and shift moved into the weights of {op}1"]


@pytest.mark.parametrize("bias", [True, False])
def test_bn_moves_into_fc(bias: bool) -> None:
    net = Net()
    y = net.layer("bn", net.layer("fc", net.input(5), features=7, bias=bias))
    after, _ = rewrite(net.done(y=y), FoldBn())
    assert layers(after) == ["fc1 = fc(x)"]


def test_two_bns_in_a_row_fold_one_after_the_other() -> None:
    net = Net()
    y = net.layer("bn", net.layer("bn", net.conv(net.input(3, 6, 6), 4, 3)))
    after, _ = rewrite(net.done(y=y), FoldBn())
    assert layers(after) == ["conv1 = conv(x)"]


def second_reader() -> Graph:
    net = Net()
    y = net.conv(net.input(3, 6, 6), 4, 3)
    return net.done(y=net.layer("add", net.layer("bn", y), y))


def middle_is_output() -> Graph:
    net = Net()
    y = net.conv(net.input(3, 6, 6), 4, 3)
    return net.done(y=y, z=net.layer("bn", y))


def shared_weight() -> Graph:
    net = Net()
    x = net.input(3, 6, 6)
    first = net.conv(x, 3, 3, pad=1)
    second = net.conv(first, 3, 3, pad=1, weights=first.node.inputs[1:])
    return net.done(y=net.layer("bn", second))


@pytest.mark.parametrize(
    ("graph", "node", "reason"),
    [
        (second_reader, "bn1", "conv1 is also read by add1"),
        (middle_is_output, "bn1", "conv1 is output 'y'"),
        (shared_weight, "bn1", "conv1.weight is also read by conv1"),
    ],
)
def test_refusals_behind(graph: Any, node: str, reason: str) -> None:
    before = graph()
    after, report = rewrite(before, FoldBn())
    assert layers(after) == layers(before)
    assert reasons(report) == {node: reason}


@pytest.mark.parametrize("kind", [FoldBn, ScaleBn])
def test_training_graphs_keep_their_statistics(kind: Any) -> None:
    net = Net()
    y = net.layer("bn", net.conv(net.input(3, 6, 6), 4, 3))
    after, report = rewrite(net.done(y=y), kind(), mode=Mode.TRAINING)
    assert len(after.layers) == 2
    assert reasons(report) == {"bn1": "training graph: the batch sets the statistics"}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_bn_moves_into_the_convolution_behind_it(groups: int, bias: bool) -> None:
    net = Net()
    x = net.layer("bn", net.input(4, 7, 6))
    y = net.conv(x, 6, 3, stride=2, groups=groups, bias=bias)
    after, _ = rewrite(net.done(y=y), FoldBnForward())
    assert layers(after) == ["conv1 = conv(x)"]
    assert {span.line for span in after.node("conv1").spans} == {1, 2}


@pytest.mark.parametrize("flatten", [True, False])
def test_bn_moves_into_fc_behind_it(flatten: bool) -> None:
    net = Net()
    x = net.layer("bn", net.input(*((3, 4, 5) if flatten else (6,))))
    y = net.layer("fc", net.layer("flatten", x) if flatten else x, features=7)
    after, _ = rewrite(net.done(y=y), FoldBnForward())
    assert "bn1" not in {node.name for node in after.nodes}


def test_padding_puts_zeros_where_the_shift_belongs() -> None:
    net = Net()
    y = net.conv(net.layer("bn", net.input(4, 7, 6)), 6, 3, pad=1)
    after, report = rewrite(net.done(y=y), FoldBnForward())
    assert len(after.layers) == 2
    assert reasons(report) == {"bn1": "conv1 pads with zeros, where the shift belongs"}


def test_refusals_before() -> None:
    net = Net()
    x = net.layer("bn", net.input(4, 7, 6))
    graph = net.done(y=net.layer("concat", net.conv(x, 6, 1), x))
    after, report = rewrite(graph, FoldBnForward())
    assert len(after.layers) == 3
    assert reasons(report) == {"bn1": "bn1 is also read by concat1"}
    _, report = rewrite(graph, FoldBnForward(), mode=Mode.TRAINING)
    assert reasons(report) == {"bn1": "training graph: the batch sets the statistics"}


def test_what_is_left_becomes_a_multiply_and_an_add() -> None:
    net = Net()
    after, _ = rewrite(net.done(y=net.layer("bn", net.input(4, 7, 6))), ScaleBn())
    assert layers(after) == ["bn1 = map(x)"]
    assert str(after.node("bn1").attrs["expr"]) == "add(mul(x0, x1), x2)"
