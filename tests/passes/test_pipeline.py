"""The default passes together: what comes out, what is said about it, and training steps."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from netdsl.autodiff import training_graph
from netdsl.diagnostics import InternalError
from netdsl.ir.graph import Graph, Value
from netdsl.passes import DEFAULT, Mode, Pass, explain, run_passes
from netdsl.passes.base import Log
from netdsl.record import record
from netdsl.reference import Interpreter, evaluate_weights
from tests.passes.nets import Net, function, layers, rewrite


def se_block(net: Net, x: Value, channels: int) -> Value:
    """A residual block with batch norm and a squeeze-and-excitation gate."""
    y = net.layer("relu", net.layer("bn", net.conv(x, channels, 3, pad=1, bias=False)))
    y = net.layer("bn", net.conv(y, channels, 3, pad=1, bias=False))
    gate = net.layer("flatten", net.layer("avgpool", y, kernel="global"))
    gate = net.layer("fc", net.layer("relu", net.layer("fc", gate, features=2)), features=channels)
    return net.layer("relu", net.layer("add", net.layer("mul", y, net.layer("sigmoid", gate)), x))


def se_net() -> Graph:
    net = Net()
    x = net.layer("dropout", se_block(net, net.input(4, 6, 6), 4))
    features = net.layer("flatten", net.layer("avgpool", x, kernel="global"))
    return net.done(y=net.layer("softmax", net.layer("fc", features, features=3)))


def test_the_default_passes_on_a_residual_block_with_a_gate() -> None:
    after, report = rewrite(se_net(), *DEFAULT)
    assert layers(after) == [
        "conv1 = conv(x) then max(x0, 0)",
        "conv2 = conv(conv1)",
        "avgpool1 = avgpool(conv2)",
        "flatten1 = flatten(avgpool1)",
        "fc1 = fc(flatten1) then max(x0, 0)",
        "fc2 = fc(fc1) then sigmoid(x0)",
        "mul1 = map(conv2, fc2, x)",
        "avgpool2 = avgpool(mul1)",
        "flatten2 = flatten(avgpool2)",
        "fc3 = fc(flatten2)",
        "softmax1 = softmax(fc3)",
    ]
    assert (
        explain(report)
        == """\
dead_code
  nothing to do
remove_identity
  rewrote  dropout1: is relu3 unchanged  (hand.net:15)
cse
  nothing to do
fold_bn
  rewrote  conv1, bn1: scale and shift moved into the weights of conv1  (hand.net:1,2)
  rewrote  conv2, bn2: scale and shift moved into the weights of conv2  (hand.net:4,5)
fold_bn_forward
  nothing to do
compose_1x1
  nothing to do
scale_bn
  nothing to do
merge_maps
  nothing to do
merge_siblings
  nothing to do
merge_slices
  nothing to do
fuse_epilogue
  rewrote  conv1, relu1: epilogue of conv1: max(x0, 0)  (hand.net:1,2,3)
  rewrote  fc1, relu2: epilogue of fc1: max(x0, 0)  (hand.net:8,9)
  rewrote  fc2, sigmoid1: epilogue of fc2: sigmoid(x0)  (hand.net:10,11)
  refused  mul1: conv2 is also read by avgpool1  (hand.net:12)
  rewrote  mul1, add1: map of mul1: add(mul(x0, x1), x2)  (hand.net:12,13)
  rewrote  mul1, relu3: map of mul1: max(add(mul(x0, x1), x2), 0)  (hand.net:12,13,14)
"""
    )


def test_folded_weights_are_evaluated_at_load() -> None:
    graph = se_net()
    after, _ = run_passes(graph)
    params = {node.name: np.ones(node.types[0].shape) for node in after.params}
    loaded = evaluate_weights(after, params)
    assert "conv1.folded_weight" in loaded and "bn1.weight" not in loaded
    np.testing.assert_allclose(loaded["conv1.folded_weight"], 1 / np.sqrt(1 + 1e-5))


def training_step() -> Graph:
    net = Net()
    x = net.input(3, 6, 6)
    y = net.layer("relu", net.layer("bn", net.conv(x, 4, 3, pad=1)))
    y = net.layer("relu", net.layer("add", net.layer("bn", net.conv(y, 4, 3, pad=1)), y))
    y = net.layer("identity", net.layer("dropout", net.layer("maxpool", y, kernel=(2, 2))))
    logits = net.layer("sigmoid", net.layer("fc", net.layer("flatten", y), features=3))
    target = net.input(3, name="target")
    loss = net.layer("mse", logits, target)
    attrs = {"momentum": 0.9, "weight_decay": 1e-4}
    return training_graph(net.done(loss=loss), loss, optimizer=("sgd", attrs))


def run_step(graph: Graph) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    inputs = {
        "x": random.normal(size=(2, 3, 6, 6)),
        "target": random.normal(size=(2, 3)),
        "lr": np.array(0.1),
        "step": np.array(3),
        "seed": np.array(5),
    }
    names = sorted((node.name, node.types[0].shape) for node in graph.params)
    params = {name: np.abs(random.normal(size=shape)) for name, shape in names}
    run = Interpreter(graph).run(inputs, params)
    return {**run.outputs, **run.updates}


def test_a_training_step_is_unchanged_and_shorter() -> None:
    step = training_step()
    after, report = run_passes(step, mode=Mode.TRAINING, verify=True)
    expected, found = run_step(step), run_step(after)
    assert list(expected) == list(found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-13, err_msg=name)
    assert len(after.layers) < len(step.layers)
    pool = "maxpool1.grad.maxpool_grad"
    assert {
        f"{pool} = maxpool_grad(bn2.0, maxpool1, dropout1.grad.dropout_apply, bn2.0) then select(x1 gt 0, x0, 0)",
        f"conv2.grad.conv_grad_input = conv_grad_input(bn2.grad.bn_train_grad.0, {pool}, bn1.0)"
        " then select(x2 gt 0, add(x1, x0), 0)",
    } <= set(layers(after))
    assert {entry.pass_name for entry in report.rewritten} >= {"remove_identity", "fuse_epilogue"}


def test_running_passes_twice_changes_nothing_more() -> None:
    once, _ = run_passes(se_net())
    twice, report = run_passes(once)
    assert layers(twice) == layers(once)
    assert not report.rewritten
    assert function(twice).keys() == {"y"}


@record
class Break(Pass):
    """Puts the nodes in an impossible order."""

    name: ClassVar[str] = "break"

    def run(self, graph: Graph, log: Log) -> None:
        graph.nodes.reverse()


def test_a_pass_that_breaks_the_graph_is_named() -> None:
    with pytest.raises(InternalError, match=r"pass break: .* stands before its operand"):
        run_passes(se_net(), (Break(),), verify=True)
