"""Optimizers, groups, clipping, accumulation and averages in whole steps, against PyTorch in float64 and on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from netdsl import driver
from netdsl.autodiff import training_graph
from netdsl.backend import find_device
from netdsl.diagnostics import UserError
from netdsl.ir.graph import Graph
from netdsl.ir.types import TensorType
from netdsl.ops import verify
from netdsl.plan.executor import Executor
from netdsl.plan.planner import plan_graph
from netdsl.reference import ReferenceStep
from netdsl.updates import Group, UpdateRule, first_averages, require_match
from netdsl.weights.initialize import initial_parameters
from tests.networks import NETS, NetBuilder, batches

STEPS = 12
Array = np.ndarray[Any, Any]

OPTIMIZERS: dict[str, tuple[dict[str, Any], Callable[[Any, Any], Any]]] = {
    "sgd": (
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        lambda t, p: t.optim.SGD(p, lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.01),
    ),
    "adam": ({"weight_decay": 0.01}, lambda t, p: t.optim.Adam(p, lr=1.0, weight_decay=0.01)),
    "adamw": (
        {"beta1": 0.8, "eps": 1e-6, "weight_decay": 0.05},
        lambda t, p: t.optim.AdamW(p, lr=1.0, betas=(0.8, 0.999), eps=1e-6, weight_decay=0.05),
    ),
    "rmsprop": ({"alpha": 0.9, "eps": 1e-4}, lambda t, p: t.optim.RMSprop(p, lr=1.0, alpha=0.9, eps=1e-4)),
    "rmsprop centered": (
        {"momentum": 0.5, "centered": True, "eps": 1e-4, "weight_decay": 0.01},
        lambda t, p: t.optim.RMSprop(p, lr=1.0, momentum=0.5, centered=True, eps=1e-4, weight_decay=0.01),
    ),
}
RATES = {"sgd": 0.05, "adam": 0.003, "adamw": 0.003, "rmsprop": 0.001, "rmsprop centered": 0.0005}


def counters(rate: float, number: int) -> dict[str, Array]:
    return {"lr": np.array(rate), "step": np.array(number, np.int32), "seed": np.array(7, np.int32)}


def twin_of(name: str, params: Mapping[str, Array]) -> Any:
    """The network in PyTorch, float64, with these weights."""
    import torch

    from tests.torch_networks import module

    twin = module(name).double()
    twin.load_state_dict({k: torch.tensor(params[k]) for k in twin.state_dict() if k in params}, strict=False)
    return twin


def library_step(
    twin: Any, optimizer: Any, batch: Mapping[str, Array], before: Callable[[], Any] = lambda: None
) -> float:
    import torch

    loss = torch.nn.functional.cross_entropy(twin(torch.tensor(batch["image"])), torch.tensor(batch["label"]).long())
    optimizer.zero_grad()
    loss.backward()
    before()
    optimizer.step()
    return float(loss.item())


def assert_same_weights(step: ReferenceStep, twin: Any, tolerance: float = 1e-9) -> None:
    for key, value in twin.state_dict().items():
        if key in step.parameters:
            np.testing.assert_allclose(
                step.parameters[key], value.numpy(), rtol=tolerance, atol=1e-2 * tolerance, err_msg=key
            )


def cpu(graph: Graph, parameters: Mapping[str, Array], threads: int = 2, batch: int = 4) -> Executor:
    device = find_device("cpu")
    return device.compile(graph, plan_graph(graph, device.plan_target, batch=batch, threads=threads), parameters)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_twelve_steps_follow_the_library(kind: str) -> None:
    """Every weight after 12 steps of a changing learning rate, in float64."""
    torch = pytest.importorskip("torch")
    args, make = OPTIMIZERS[kind]
    graph, loss, logits = NETS["resnet"]()
    rule = UpdateRule((Group("*", decay=True),))
    step_graph = training_graph(graph, loss, optimizer=(kind.split()[0], args), rule=rule)
    assert verify(step_graph) == []
    params = initial_parameters(step_graph.params, 3)
    step, twin = ReferenceStep(step_graph, params), twin_of("resnet", params)
    optimizer = make(torch, twin.parameters())
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        rate = RATES[kind] / (1 + number % 3)
        optimizer.param_groups[0]["lr"] = rate
        found = step.step({**batch, **counters(rate, number)})["loss"]
        np.testing.assert_allclose(found, library_step(twin, optimizer, batch), rtol=1e-9)
    assert_same_weights(step, twin)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_cpu_follows_the_oracle_whatever_the_threads(kind: str) -> None:
    """With everything that a rule has, for 12 steps: float32 of float64, and the same bits with 1 and 3 threads."""
    graph, loss, logits = NETS["lenet"]()
    groups = (Group("*.bias", decay=False), Group("conv1.*", rate=0.5))
    rule = UpdateRule(groups, ("conv2.bias",), clip_norm=1.0, clip_value=0.2, accumulate=2, average=0.9)
    step_graph = training_graph(graph, loss, optimizer=(kind.split()[0], OPTIMIZERS[kind][0]), rule=rule)
    params = initial_parameters(step_graph.params, 3)
    params.update(first_averages(params))
    oracle = ReferenceStep(step_graph, params)
    steps = [cpu(step_graph, params, threads) for threads in (1, 3)]
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        feed = {**batch, "image": batch["image"].astype(np.float32), **counters(RATES[kind], number)}
        feed["lr"] = feed["lr"].astype(np.float32)
        oracle.step({**batch, "image": feed["image"], **counters(float(feed["lr"]), number)})
        for step in steps:
            step.step(feed)
    one, three = (step.get_parameters() for step in steps)
    for name, wanted in oracle.parameters.items():
        np.testing.assert_array_equal(one[name], three[name], err_msg=name)
        scale = np.abs(wanted).max(initial=1e-3)
        np.testing.assert_allclose(one[name], wanted, rtol=2e-3, atol=2e-4 * scale, err_msg=name)
    np.testing.assert_array_equal(one["conv2.bias"], params["conv2.bias"])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_losses_on_the_cpu_follow_the_library(kind: str) -> None:
    """In float32, with 12 steps, within 1e-4 of the library in float64."""
    torch = pytest.importorskip("torch")
    args, make = OPTIMIZERS[kind]
    graph, loss, logits = NETS["lenet"]()
    step_graph = training_graph(graph, loss, optimizer=(kind.split()[0], args))
    params = initial_parameters(step_graph.params, 6)
    step, twin = cpu(step_graph, params), twin_of("lenet", params)
    optimizer = make(torch, twin.parameters())
    optimizer.param_groups[0]["lr"] = RATES[kind]
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        feed = {**batch, "image": batch["image"].astype(np.float32), **counters(RATES[kind], number)}
        feed["lr"] = feed["lr"].astype(np.float32)
        found = step.step(feed)["loss"]
        np.testing.assert_allclose(found, library_step(twin, optimizer, batch), rtol=1e-4)


def test_corrections_lose_no_digits_in_float32() -> None:
    """1 - beta^t, where the difference would keep 3 digits of 7."""
    from netdsl.ir.scalar import evaluate
    from netdsl.ops.adam import one_minus_power

    for beta in (0.0, 0.5, 0.9, 0.999, 0.999999):
        steps = np.array([1, 2, 3, 10, 100, 10_000, 1_000_000], np.float32)
        found = np.broadcast_to(evaluate(one_minus_power(beta), [steps]), steps.shape)
        np.testing.assert_allclose(found, -np.expm1(steps.astype(float) * np.log(max(beta, 1e-300))), rtol=5e-7)


def test_groups_follow_the_librarys_groups() -> None:
    torch = pytest.importorskip("torch")
    graph, loss, logits = NETS["resnet"]()
    rule = UpdateRule((Group("*", decay=False), Group("*conv*.weight", decay=True), Group("fc.*", rate=10.0)))
    step_graph = training_graph(graph, loss, optimizer=("adamw", {"weight_decay": 0.1}), rule=rule)
    params = initial_parameters(step_graph.params, 3)
    step, twin = ReferenceStep(step_graph, params), twin_of("resnet", params)
    groups = [
        {
            "params": [value],
            "weight_decay": 0.1 if "conv" in name and name.endswith(".weight") else 0.0,
            "lr": 0.01 if name.startswith("fc.") else 0.001,
        }
        for name, value in twin.named_parameters()
    ]
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1} and {group["lr"] for group in groups} == {
        0.01,
        0.001,
    }
    optimizer = torch.optim.AdamW(groups)
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        step.step({**batch, **counters(0.001, number)})
        library_step(twin, optimizer, batch)
    assert_same_weights(step, twin)


@pytest.mark.parametrize("way", ["norm", "value", "norm that is never reached"])
def test_clipping_follows_the_library(way: str) -> None:
    torch = pytest.importorskip("torch")
    graph, loss, logits = NETS["lenet"]()
    limit = {"norm": 0.5, "value": 0.01}.get(way, 1e6)
    rule = UpdateRule(clip_value=limit) if way == "value" else UpdateRule(clip_norm=limit)
    step_graph = training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.9}), rule=rule)
    params = initial_parameters(step_graph.params, 3)
    step, twin = ReferenceStep(step_graph, params), twin_of("lenet", params)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    clip = torch.nn.utils.clip_grad_value_ if way == "value" else torch.nn.utils.clip_grad_norm_
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        step.step({**batch, **counters(0.1, number)})
        library_step(twin, optimizer, batch, lambda: clip(twin.parameters(), limit))
    assert_same_weights(step, twin)


@pytest.mark.parametrize("kind", ["plain", *OPTIMIZERS])
def test_accumulating_is_a_larger_batch(kind: str) -> None:
    """Three batches of 4 in a row are one of 12, for a net without batch statistics; nothing moves in between."""
    graph, loss, logits = NETS["lenet"]()
    optimizer = ("sgd", {}) if kind == "plain" else (kind.split()[0], OPTIMIZERS[kind][0])
    clipped = UpdateRule(clip_norm=0.7, average=0.5)
    whole_graph = training_graph(graph, loss, optimizer=optimizer, rule=clipped)
    parts_graph = training_graph(
        graph, loss, optimizer=optimizer, rule=UpdateRule(clip_norm=0.7, average=0.5, accumulate=3)
    )
    params = initial_parameters(parts_graph.params, 3)
    params.update(first_averages(params))
    whole, parts = ReferenceStep(whole_graph, params), ReferenceStep(parts_graph, params)
    rate = RATES.get(kind, 0.05)
    for number, batch in enumerate(batches(graph, 4, 12, logits.type.shape[0])):
        whole.step({**batch, **counters(rate, number)})
        before = dict(parts.parameters)
        for part in range(3):
            piece = {name: array[4 * part : 4 * part + 4] for name, array in batch.items()}
            parts.step({**piece, **counters(rate, 3 * number + part)})
            if part < 2:
                for name in whole.parameters:
                    np.testing.assert_array_equal(parts.parameters[name], before[name], err_msg=name)
    for name, wanted in whole.parameters.items():
        np.testing.assert_allclose(parts.parameters[name], wanted, rtol=1e-9, atol=1e-13, err_msg=name)


def test_averages_follow_the_library() -> None:
    torch = pytest.importorskip("torch")
    graph, loss, logits = NETS["lenet"]()
    step_graph = training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.9}), rule=UpdateRule(average=0.9))
    params = initial_parameters(step_graph.params, 3)
    params.update(first_averages(params))
    step, twin = ReferenceStep(step_graph, params), twin_of("lenet", params)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    averaged = torch.optim.swa_utils.AveragedModel(twin, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    averaged.update_parameters(twin)  # its first call copies
    for number, batch in enumerate(batches(graph, STEPS, 4, logits.type.shape[0])):
        step.step({**batch, **counters(0.1, number)})
        library_step(twin, optimizer, batch)
        averaged.update_parameters(twin)
    for name, value in averaged.module.named_parameters():
        found = step.parameters[f"{name}.average"]
        np.testing.assert_allclose(found, value.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def frozen_net() -> tuple[Graph, Any]:
    net = NetBuilder("frozen")
    x = net.input("image", TensorType((3, 4, 4)))
    x = net.layer("bn1", "bn", net.layer("conv1", "conv", x, channels=4, kernel=(3, 3)))
    x = net.layer("bn2", "bn", net.layer("conv2", "conv", x, channels=4, kernel=(1, 1)))
    graph, loss, _ = net.finish(net.layer("fc", "fc", net.layer("flatten", "flatten", x), features=3))
    return graph, loss


def test_frozen_layers_have_no_gradients_and_work_as_at_inference() -> None:
    graph, loss = frozen_net()
    rule = UpdateRule(frozen=("conv1.*", "bn1.*"), average=0.9)
    step = training_graph(graph, loss, optimizer=("adam", {}), rule=rule)
    assert not any(name.startswith(("conv1", "bn1")) for name in step.updates)
    assert {"conv2.weight", "bn2.running_mean", "fc.bias", "bn2.running_mean.average"} <= set(step.updates)
    assert not any(".grad" in node.name and node.name.startswith(("conv1", "bn1")) for node in step.nodes)
    assert [node.name for node in step.nodes if node.op == "bn_train"] == ["bn2"]
    behind = training_graph(graph, loss, optimizer=("adam", {}), rule=UpdateRule(frozen=("bn2.*", "fc.*")))
    assert "conv1.weight" in behind.updates and "fc.weight" not in behind.updates
    assert not any(node.op == "fc_grad_weight" for node in behind.nodes)


@pytest.mark.parametrize("frozen", [("*bn*", "conv1.*"), ("fc.*",), ("*bn*.weight", "*bn*.bias")], ids=str)
def test_frozen_layers_follow_the_library(frozen: tuple[str, ...]) -> None:
    """Batch normalization that is frozen whole is the library's in `eval` mode, with gradients through it; where only
    its factors are frozen it is in `train` mode. In the oracle, and on the CPU after all passes."""
    torch = pytest.importorskip("torch")
    graph, loss, logits = NETS["resnet"]()
    rule = UpdateRule(frozen=frozen)
    step_graph = training_graph(graph, loss, optimizer=("sgd", {"momentum": 0.9}), rule=rule)
    params = initial_parameters(step_graph.params, 3)
    step, twin = ReferenceStep(step_graph, params), twin_of("resnet", params)
    fast = driver.make_executor(step_graph, params, driver.Build(batch=4, threads=2))
    for name, value in twin.named_parameters():
        value.requires_grad_(not rule.freezes(name))
    for name, part in twin.named_modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.train(not rule.freezes(f"{name}.running_mean"))
    optimizer = torch.optim.SGD([p for p in twin.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    for number, batch in enumerate(batches(graph, 6, 4, logits.type.shape[0])):
        found = step.step({**batch, **counters(0.05, number)})["loss"]
        np.testing.assert_allclose(found, library_step(twin, optimizer, batch), rtol=1e-9)
        feed = {**batch, "image": batch["image"].astype(np.float32), **counters(0.05, number)}
        feed["lr"] = feed["lr"].astype(np.float32)
        np.testing.assert_allclose(fast.step(feed)["loss"], found, rtol=1e-3)
    assert_same_weights(step, twin)
    assert any((step.parameters[name] != params[name]).any() for name in params if not rule.freezes(name))


def test_patterns_that_match_nothing() -> None:
    with pytest.raises(UserError) as caught:
        require_match("layr1.*", ["layer1.0.conv1.weight", "fc.weight"])
    assert caught.value.diagnostics[0].help == "did you mean `layer1.*`?"
