from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netdsl.autodiff import gradients, training_graph
from netdsl.diagnostics import UserError
from netdsl.ir.graph import Graph
from netdsl.ir.scalar import Var
from netdsl.ir.types import TensorType
from netdsl.ops import builder, verify
from netdsl.ops.base import Init
from netdsl.reference import Interpreter, ReferenceStep
from netdsl.source import Source
from netdsl.weights.initialize import initial_parameters
from tests.networks import NETS, NetBuilder, batches

SGD = {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
STEPS = 5


@pytest.mark.parametrize("name", NETS)
def test_five_steps_follow_the_library(name: str) -> None:
    """Loss and every parameter and statistic after 5 steps, in float64; 1e-9 leaves room for summation order."""
    torch = pytest.importorskip("torch")
    from tests.torch_networks import module, sgd

    graph, loss, logits = NETS[name]()
    step_graph = training_graph(graph, loss, optimizer=("sgd", SGD), outputs={"logits": logits})
    assert verify(step_graph) == []
    params = initial_parameters(step_graph.params, 3)
    step = ReferenceStep(step_graph, params)
    twin = module(name).double()
    state = {key: torch.tensor(params[key]) for key in twin.state_dict() if key in params}
    twin.load_state_dict(state, strict=False)
    undecayed = {node.name for node in graph.params if not node.attrs["decay"]}
    optimizer = sgd(twin, undecayed, SGD)
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        rate = 0.1 / (number + 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        outputs = step.step({**batch, **counters(rate, number)})
        expected = twin(torch.tensor(batch["image"]))
        twin_loss = torch.nn.functional.cross_entropy(expected, torch.tensor(batch["label"]).long())
        optimizer.zero_grad()
        twin_loss.backward()
        optimizer.step()
        np.testing.assert_allclose(outputs["loss"], twin_loss.item(), rtol=1e-9)
        np.testing.assert_allclose(outputs["logits"], expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    compared = {key for key in twin.state_dict() if not key.endswith("num_batches_tracked")}
    assert compared == {node.name for node in graph.params}
    for key in compared:
        np.testing.assert_allclose(
            step.parameters[key], twin.state_dict()[key].numpy(), rtol=1e-9, atol=1e-11, err_msg=key
        )


def counters(rate: float, number: int) -> dict[str, Any]:
    return {"lr": np.array(rate), "step": np.array(number), "seed": np.array(7)}


def dropout_net() -> tuple[Graph, Any]:
    net = NetBuilder("drop")
    x = net.input("image", TensorType((6,)))
    x = net.layer("fc1", "fc", x, features=8)
    x = net.layer("drop", "dropout", x, p=0.5)
    graph, loss, _ = net.finish(net.layer("fc2", "fc", x, features=3))
    return graph, loss


def test_dropout_depends_on_step_and_seed_only() -> None:
    graph, loss = dropout_net()
    step = training_graph(graph, loss, optimizer=("sgd", {}))
    assert [node.op for node in step.nodes].count("dropout_apply") == 2
    params = initial_parameters(step.params, 0)
    rng = np.random.default_rng(0)
    feed = {"image": rng.standard_normal((4, 6)), "label": np.zeros(4, np.int32), "lr": np.array(0.0)}

    def loss_at(number: int, seed: int) -> float:
        run = Interpreter(step).run({**feed, "step": np.array(number), "seed": np.array(seed)}, params)
        return float(run.outputs["loss"])

    assert loss_at(1, 1) == loss_at(1, 1)
    assert len({loss_at(1, 1), loss_at(2, 1), loss_at(1, 2)}) == 3


def test_shared_weights_collect_both_gradients() -> None:
    graph = Graph("shared")
    build = builder(graph)
    x = build.input("x", TensorType((3,)))
    w = build.param("w", (3,), {"init": Init("ones"), "trainable": True, "decay": True})
    once = build.op("mul", [x, w]).output
    twice = build.op("mul", [once, w]).output
    loss = build.op("mse", [twice, x]).output
    found = gradients(graph, loss, [w, x])
    values = {"x": np.array([[1.0, 2.0, -3.0]])}
    weights = {"w": np.array([0.5, 2.0, 1.5])}
    run = Interpreter(graph).run(values, weights, keep=found.values())
    x0, w0 = values["x"][0], weights["w"]
    error = x0 * w0**2 - x0
    np.testing.assert_allclose(run.values[found[w]], 2 * error / 3 * 2 * x0 * w0)
    np.testing.assert_allclose(run.values[found[x]][0], 2 * error / 3 * (w0**2 - 1))


def test_only_what_the_loss_needs_is_kept() -> None:
    net = NetBuilder("heads")
    x = net.input("image", TensorType((6,)))
    trunk = net.layer("fc1", "fc", x, features=4)
    net.graph.outputs["aux"] = net.layer("aux", "fc", trunk, features=2)
    graph, loss, _ = net.finish(net.layer("fc2", "fc", trunk, features=3))
    step = training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.5}))
    assert set(step.outputs) == {"loss"}
    trained = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    assert set(step.updates) == trained | {f"{name}.momentum" for name in trained}
    assert not any("aux" in node.name for node in step.nodes)
    assert not any(node.op == "fc_grad_input" and node.name.startswith("fc1") for node in step.nodes)
    assert [node.name for node in step.inputs] == ["lr", "step", "seed", "image", "label"]
    assert graph.updates == {} and all(node.op != "sgd" for node in graph.nodes)


def test_frozen_parameters_and_decay() -> None:
    net = NetBuilder("frozen")
    x = net.input("image", TensorType((6, 2, 2)))
    x = net.layer("prelu", "prelu", net.layer("bn", "bn", x))
    graph, loss, _ = net.finish(net.layer("fc", "fc", net.layer("flatten", "flatten", x), features=3))
    graph.node("fc.bias").attrs["trainable"] = False
    graph.node("bn.bias").attrs["decay"] = False
    step = training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.9, "weight_decay": 0.5}))
    assert "fc.bias" not in step.updates and "fc.bias" in {node.name for node in step.params}
    assert step.node("fc.weight.sgd").attrs["weight_decay"] == 0.5
    assert step.node("bn.weight.sgd").attrs["weight_decay"] == 0.5
    assert step.node("bn.bias.sgd").attrs["weight_decay"] == 0.0
    assert {"bn.running_mean", "bn.running_var"} <= set(step.updates)


def test_descent_without_momentum_keeps_no_state() -> None:
    graph, loss, _ = NETS["lenet"]()
    (batch,) = batches(graph, 1, 4, 5)
    args = {"weight_decay": 0.1}
    plain = training_graph(graph, loss, optimizer=("sgd", {**args, "momentum": 0.0}))
    assert {node.name for node in plain.params} == {node.name for node in graph.params}
    whole = training_graph(graph, loss, optimizer=("sgd", {**args, "momentum": 0.9}))
    params = initial_parameters(whole.params, 1)
    steps = [ReferenceStep(step, params) for step in (plain, whole)]
    for step in steps:
        step.step({**batch, **counters(0.1, 0)})
    for name in (node.name for node in graph.params):  # the first step knows no momentum yet
        np.testing.assert_allclose(steps[0].parameters[name], steps[1].parameters[name], rtol=1e-12)


def test_every_gradient_node_points_at_the_source_of_its_layer() -> None:
    source = Source("net", "x -> tanh")
    graph = Graph("spans")
    build = builder(graph)
    x = build.input("x", TensorType((2,)))
    w = build.param("w", (2,), {"init": Init("ones"), "trainable": True, "decay": True})
    build.spans = frozenset({source.span(5, 9)})
    y = build.op("tanh", [build.op("mul", [x, w]).output]).output
    loss = build.op("mse", [y, x]).output
    step = training_graph(graph, loss, optimizer=("sgd", {}))
    backward = [node for node in step.nodes if ".grad." in node.name]
    assert backward and all(node.spans == build.spans for node in backward)


def test_names_that_training_needs() -> None:
    graph = Graph("clash")
    build = builder(graph)
    x = build.input("step", TensorType((2,)))
    loss = build.op("mse", [build.op("tanh", [x]).output, x]).output
    with pytest.raises(UserError, match="`step` is the name of an input that training adds"):
        training_graph(graph, loss, optimizer=("sgd", {}))


def test_a_loss_must_be_one_number() -> None:
    graph = Graph("wide")
    build = builder(graph)
    x = build.input("x", TensorType((2,)))
    with pytest.raises(ValueError, match="not one number"):
        gradients(graph, build.op("tanh", [x]).output, [x])


def test_a_weighted_sum_of_losses() -> None:
    graph = Graph("sum")
    build = builder(graph)
    x, t = build.input("x", TensorType((2,))), build.input("t", TensorType((2,)))
    first = build.op("mse", [x, t]).output
    second = build.op("map", [build.op("mse", [x, x]).output], {"expr": Var(0) * 0.5}).output
    total = build.op("add", [first, second]).output
    found = gradients(graph, total, [x])
    run = Interpreter(graph).run({"x": np.array([[1.0, 2.0]]), "t": np.zeros((1, 2))}, {}, keep=found.values())
    np.testing.assert_allclose(run.values[found[x]], [[1.0, 2.0]])
