"""Elementwise layers becoming epilogues and maps."""

from __future__ import annotations

import pytest

from netdsl.passes import run_passes
from netdsl.passes.base import Mode
from netdsl.passes.fuse_epilogue import FuseEpilogue
from tests.passes.nets import Net, layers, reasons, rewrite
from tests.passes.test_random_nets import run_step, training_step


def test_a_residual_block_ends_in_one_store() -> None:
    net = Net()
    x = net.input(4, 6, 6)
    body = net.conv(net.layer("relu", net.conv(x, 4, 3, pad=1)), 4, 3, pad=1)
    after, report = rewrite(net.done(y=net.layer("relu", net.layer("add", body, x))), FuseEpilogue())
    assert layers(after) == ["conv1 = conv(x) then max(x0, 0)", "conv2 = conv(conv1, x) then max(add(x0, x1), 0)"]
    assert [entry.nodes for entry in report.rewritten] == [("conv1", "relu1"), ("conv2", "add1"), ("conv2", "relu2")]
    assert {span.line for span in after.node("conv2").spans} == {3, 4, 5}


def test_the_last_of_two_heavy_operands_takes_the_sum() -> None:
    net = Net()
    x = net.input(4, 6, 6)
    body, shortcut = net.conv(x, 4, 3, pad=1), net.conv(x, 4, 1)
    after, _ = rewrite(net.done(y=net.layer("add", body, shortcut)), FuseEpilogue())
    assert layers(after) == ["conv1 = conv(x)", "conv2 = conv(x, conv1) then add(x1, x0)"]


def test_a_heavy_layer_moves_down_to_where_its_operands_are() -> None:
    net = Net()
    x = net.input(4, 6, 6)
    early = net.conv(x, 4, 3, pad=1)
    late = net.layer("lrn", x)
    after, _ = rewrite(net.done(y=net.layer("mul", early, late)), FuseEpilogue())
    assert layers(after) == ["lrn1 = lrn(x)", "conv1 = conv(x, lrn1) then mul(x0, x1)"]


@pytest.mark.parametrize("op", ["maxpool", "avgpool"])
def test_pools_take_activations(op: str) -> None:
    net = Net()
    y = net.layer("sigmoid", net.layer(op, net.input(4, 6, 6), kernel=(2, 2), stride=(2, 2)))
    after, _ = rewrite(net.done(y=y), FuseEpilogue())
    assert layers(after) == [f"{op}1 = {op}(x) then sigmoid(x0)"]


def test_learned_operands_come_along() -> None:
    net = Net()
    y = net.layer("prelu", net.layer("fc", net.input(5), features=3))
    after, _ = rewrite(net.done(y=y), FuseEpilogue())
    assert [node.op for node in after.layers] == ["fc"]
    assert [value.name for value in after.node("fc1").epilogue_inputs] == ["prelu1.weight"]


def test_elementwise_chains_become_one_map() -> None:
    net = Net()
    x, y = net.input(4, 6, 6), net.input(4, name="y")
    z = net.layer("relu", net.layer("add", net.layer("mul", x, y), net.layer("tanh", x)))
    after, _ = rewrite(net.done(z=z), FuseEpilogue())
    assert layers(after) == ["mul1 = map(x, y)"]
    assert str(after.node("mul1").attrs["expr"]) == "max(add(mul(x0, x1), tanh(x0)), 0)"


def test_both_operands_may_be_the_same_value() -> None:
    net = Net()
    y = net.conv(net.input(3, 5, 5), 4, 3)
    after, _ = rewrite(net.done(y=net.layer("mul", y, y)), FuseEpilogue())
    assert layers(after) == ["conv1 = conv(x) then mul(x0, x0)"]


def test_a_gate_made_from_the_result_itself_stays_apart() -> None:
    net = Net()
    x = net.conv(net.input(3, 5, 5), 4, 3)
    gate = net.layer("sigmoid", net.conv(net.layer("avgpool", x, kernel="global"), 4, 1))
    y = net.layer("relu", net.layer("add", net.layer("mul", x, gate), x))
    after, report = rewrite(net.done(y=y), FuseEpilogue())
    assert layers(after) == [
        "conv1 = conv(x)",
        "avgpool1 = avgpool(conv1)",
        "conv2 = conv(avgpool1) then sigmoid(x0)",
        "mul1 = map(conv1, conv2)",
    ]
    assert reasons(report)["mul1"] == "conv1 is also read by avgpool1"


def test_a_smaller_operand_is_not_computed_anew_everywhere() -> None:
    net = Net()
    x, small = net.input(4, 6, 6), net.input(4, 1, 1, name="small")
    after, report = rewrite(net.done(y=net.layer("mul", x, net.layer("sigmoid", small))), FuseEpilogue())
    assert len(after.layers) == 2
    assert reasons(report) == {"mul1": "sigmoid1 [4, 1, 1] would be computed anew for each element of [4, 6, 6]"}


def test_an_output_in_the_middle_stays() -> None:
    net = Net()
    y = net.conv(net.input(3, 5, 5), 4, 3)
    after, report = rewrite(net.done(y=y, z=net.layer("relu", y)), FuseEpilogue())
    assert len(after.layers) == 2
    assert reasons(report) == {"relu1": "conv1 is output 'y'"}


def test_long_expressions_are_cut() -> None:
    net = Net()
    x = net.input(3, 5, 5)
    y = net.conv(x, 3, 1)
    for _ in range(3):
        y = net.layer("tanh", y)
    after, report = rewrite(net.done(y=y), FuseEpilogue(max_size=2))
    assert layers(after) == ["conv1 = conv(x) then tanh(tanh(x0))", "tanh3 = tanh(conv1)"]
    assert reasons(report) == {"tanh3": "with conv1 it would be too long for one store"}


def test_training_graphs_fuse_what_nobody_else_needs() -> None:
    net = Net()
    x = net.layer("relu", net.conv(net.input(3, 5, 5), 4, 3))
    y = net.layer("relu", net.layer("dropout", net.layer("bn", x)))
    after, _ = rewrite(net.done(y=y), FuseEpilogue(), mode=Mode.TRAINING)
    assert layers(after) == [
        "conv1 = conv(x) then max(x0, 0)",
        "bn1 = bn(conv1)",
        "dropout1 = dropout(bn1)",
        "relu2 = relu(dropout1)",
    ]


def test_gradients_that_meet_are_added_where_batch_normalization_stores_its_own() -> None:
    """The value before the batch norm is read twice, as in a densely connected block."""
    net = Net()
    x = net.conv(net.input(3, 6, 6), 4, 1)
    y = net.conv(net.layer("relu", net.layer("bn", x)), 2, 3, pad=1)
    step = training_step(net.done(y=net.layer("concat", x, y)))
    after, _ = run_passes(step, (FuseEpilogue(),), mode=Mode.TRAINING, verify=True)
    expected, found = run_step(step), run_step(after)
    for name, value in expected.items():
        assert abs(found[name] - value).max() <= 1e-12 * max(abs(value).max(), 1.0), name
    gradient = next(node for node in after.nodes if node.op == "bn_train_grad")
    assert gradient.epilogue is not None and str(gradient.epilogue.expr) == "add(x1, x0)"
    assert [value.node.op for value in gradient.epilogue_inputs] == ["slice"]
    assert not any(node.op == "add" and node.types[0].batched for node in after.nodes)


@pytest.mark.parametrize("op", ["maxpool", "avgpool"])
def test_gradients_of_pools_are_masked_where_they_are_stored(op: str) -> None:
    net = Net()
    x = net.layer("relu", net.conv(net.input(3, 6, 6), 4, 1))
    step = training_step(net.done(y=net.layer(op, x, kernel=(2, 2), stride=(2, 2))))
    after, _ = run_passes(step, (FuseEpilogue(),), mode=Mode.TRAINING, verify=True)
    gradient = next(node for node in after.nodes if node.op == f"{op}_grad")
    assert gradient.epilogue is not None and str(gradient.epilogue.expr) == "select(x1 gt 0, x0, 0)"
    assert not any(node.op == "map" and node.types[0].batched for node in after.nodes)
