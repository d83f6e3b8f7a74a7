"""Dead code, identities and common subexpressions."""

from __future__ import annotations

import pytest

from netdsl.passes.base import Mode
from netdsl.passes.cse import Cse
from netdsl.passes.dead_code import DeadCode
from netdsl.passes.remove_identity import RemoveIdentity
from tests.passes.nets import Net, layers, reasons, rewrite


def test_dead_code_drops_layers_and_their_parameters_but_no_input() -> None:
    net = Net()
    x, unused = net.input(3, 8, 8), net.input(3, 8, 8, name="unused")
    net.layer("relu", net.conv(unused, 4, 3))
    after, report = rewrite(net.done(y=net.layer("relu", x)), DeadCode())
    assert layers(after) == ["relu2 = relu(x)"]
    assert [node.name for node in after.inputs] == ["x", "unused"] and not after.params
    assert [entry.nodes for entry in report.rewritten] == [("conv1.weight",), ("conv1.bias",), ("conv1",), ("relu1",)]


def test_identities_disappear() -> None:
    net = Net()
    x = net.layer("relu", net.input(4, 6, 6))
    for op, attrs in {
        "identity": {},
        "dropout": {"p": 0.5},
        "concat": {},
        "add": {},
        "mul": {},
        "maxpool": {"kernel": (1, 1), "stride": (1, 1)},
        "avgpool": {"kernel": (1, 1), "stride": (1, 1)},
    }.items():
        x = net.layer(op, x, **attrs)
    features = net.layer("flatten", x)
    after, report = rewrite(net.done(y=net.layer("flatten", features)), RemoveIdentity())
    assert layers(after) == ["relu1 = relu(x)", "flatten1 = flatten(relu1)"]
    assert len(report.rewritten) == 8 and not report.refused


def test_dropout_stays_in_a_training_graph() -> None:
    net = Net()
    x = net.layer("relu", net.input(4))
    y = net.layer("dropout", net.layer("dropout", x, p=0.5), p=0.0)
    after, report = rewrite(net.done(y=y), RemoveIdentity(), mode=Mode.TRAINING)
    assert layers(after) == ["relu1 = relu(x)", "dropout1 = dropout(relu1)"]
    assert reasons(report) == {"dropout1": "training graph: it drops values here"}


def test_an_output_that_would_be_an_input_stays() -> None:
    net = Net()
    after, report = rewrite(net.done(y=net.layer("identity", net.input(4))), RemoveIdentity())
    assert layers(after) == ["identity1 = identity(x)"]
    assert reasons(report) == {"identity1": "output 'y' would be the input x, which no layer computes"}


def test_equal_layers_are_computed_once() -> None:
    net = Net()
    x, y = net.input(4), net.input(4, name="y")
    a, b = net.layer("add", x, y), net.layer("add", y, x)
    c, d = net.layer("relu", a), net.layer("relu", b)
    after, report = rewrite(net.done(z=net.layer("mul", c, d)), Cse())
    assert layers(after) == ["add1 = add(x, y)", "relu1 = relu(add1)", "mul1 = mul(relu1, relu1)"]
    assert [entry.text for entry in report.rewritten] == ["is add1", "is relu1"]
    assert {span.line for span in after.node("relu1").spans} == {3, 4}


@pytest.mark.parametrize("shared", [True, False])
def test_layers_are_equal_only_with_the_same_parameters(shared: bool) -> None:
    net = Net()
    x = net.input(3, 5, 5)
    first = net.conv(x, 4, 3)
    second = net.conv(x, 4, 3, weights=first.node.inputs[1:] if shared else None)
    after, _ = rewrite(net.done(y=net.layer("add", first, second)), Cse())
    assert len(after.layers) == (2 if shared else 3)


def test_arguments_tell_layers_apart() -> None:
    net = Net()
    x = net.input(4)
    y = net.layer("add", net.layer("leaky_relu", x, slope=0.1), net.layer("leaky_relu", x, slope=0.2))
    after, _ = rewrite(net.done(y=y), Cse())
    assert len(after.layers) == 3


def test_equal_outputs_keep_their_own_storage() -> None:
    net = Net()
    x = net.input(4)
    after, report = rewrite(net.done(a=net.layer("relu", x), b=net.layer("relu", x)), Cse())
    assert len(after.layers) == 2
    assert reasons(report) == {"relu2": "it equals relu1, but output 'a' and output 'b' are stored apart"}


def test_dropouts_draw_apart_in_a_training_graph() -> None:
    net = Net()
    x = net.input(4)
    graph = net.done(y=net.layer("add", net.layer("dropout", x), net.layer("dropout", x)))
    after, report = rewrite(graph, Cse(), mode=Mode.TRAINING)
    assert len(after.layers) == 3
    assert reasons(report) == {"dropout2": "training graph: it draws other values than dropout1"}
    assert len(rewrite(graph, Cse())[0].layers) == 2
