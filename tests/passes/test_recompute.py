"""Values that are computed again instead of kept: the same bits, within the memory allowed, no more than is needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from netdsl import driver
from netdsl.autodiff import training_graph
from netdsl.diagnostics import ResourceLimit
from netdsl.driver import Build, Origin
from netdsl.ir.graph import Graph, Value
from netdsl.ir.printer import print_graph
from netdsl.ir.repeats import repeated_nodes, without_repeats
from netdsl.ir.types import DType, TensorType
from netdsl.ops import verify
from netdsl.passes import Mode, run_passes
from netdsl.passes.cse import Cse
from netdsl.passes.fit_memory import FitMemory, _keep_first
from netdsl.passes.recompute import Recompute
from netdsl.plan.moment import Moment, moment_at, worst_moment
from netdsl.plan.planner import Decided, draft_graph
from netdsl.reference import ReferenceStep
from netdsl.weights.initialize import initial_parameters
from tests import networks
from tests.networks import NetBuilder
from tests.plan.test_planner import check as check_plan

Array = np.ndarray[Any, Any]
SGD = ("sgd", {"momentum": 0.9, "nesterov": False, "weight_decay": 1e-3})
TARGET = driver.find_device(Build()).plan_target
BATCH = 4


def _double(net: NetBuilder, name: str, x: Value, width: int) -> Value:
    for number in (1, 2):
        x = net.conv(f"{name}.conv{number}", x, width, 3, 1, 1, bias=False)
        x = net.layer(f"{name}.relu{number}", "relu", net.layer(f"{name}.bn{number}", "bn", x))
    return net.layer(f"{name}.dropout", "dropout", x, p=0.3)


def unet_bn() -> tuple[Graph, Value, Value]:
    """[3, 16, 16] -> 3 classes a pixel: two levels, with batch normalization and dropout."""
    net = NetBuilder("unet_bn")
    first = _double(net, "first", net.input("image", TensorType((3, 16, 16))), 16)
    second = _double(net, "second", net.pool("pool1", "maxpool", first, 2), 32)
    x = _double(net, "third", net.pool("pool2", "maxpool", second, 2), 32)
    for name, skip, width in (("up2", second, 32), ("up1", first, 16)):
        x = net.layer(name, "deconv", x, channels=width, kernel=(2, 2), stride=(2, 2))
        x = _double(net, f"{name}.double", net.layer(f"{name}.concat", "concat", skip, x), width)
    return net.finish(net.conv("last", x, 3, 1))


NETS = {**networks.NETS, "unet_bn": unet_bn}


@cache
def step_of(name: str) -> Graph:
    """A training step after the ordinary passes; not to be changed."""
    if name.startswith("zoo:"):
        step = driver.training_step(driver.load(Origin(name)))
    else:
        graph, loss, _ = NETS[name]()
        step = training_graph(graph, loss, optimizer=SGD)
    return run_passes(step, mode=Mode.TRAINING)[0]


def look(graph: Graph, decided: Decided | None = None) -> Moment:
    return worst_moment(graph, TARGET, batch=BATCH, threads=1, decided=decided)


def fitted(graph: Graph, budget: int) -> Graph:
    return run_passes(graph, [FitMemory(budget, BATCH, look)], mode=Mode.TRAINING, verify=True)[0]


def with_repeats(graph: Graph, seed: int, drops: int) -> Graph:
    """A copy in which random values are dropped at random steps of the plan."""
    random = np.random.default_rng(seed)
    work, _ = graph.copy()
    decided = look(work).decided
    for _ in range(drops):
        drafted = draft_graph(work, TARGET, batch=BATCH, decided=decided)
        recompute = Recompute(work, moment_at(work, drafted, int(random.integers(len(drafted.steps)))), BATCH)
        if found := list(recompute.drops()):
            recompute.apply(found[random.integers(len(found))])
    assert not verify(work)
    return work


def inputs_of(graph: Graph, number: int) -> dict[str, Array]:
    """What a step takes; labels are one of three classes."""
    random = np.random.default_rng(number)
    found: dict[str, Array] = {"lr": np.float32(0.05), "step": np.int32(number), "seed": np.int32(7)}  # type: ignore[dict-item]
    for node in graph.inputs:
        kind = node.output.type
        shape = kind.full_shape(BATCH)
        if node.name not in found and kind.dtype is DType.I32:
            found[node.name] = random.integers(0, 3, shape).astype(np.int32)
        elif node.name not in found:
            found[node.name] = random.standard_normal(shape).astype(np.float32)
    return {node.name: found[node.name] for node in graph.inputs}


def trained(graph: Graph, threads: int, steps: int = 2) -> dict[str, Array]:
    """Losses of some steps, and all parameters after them, optimizer state and running statistics among them."""
    build = Build(batch=BATCH, threads=threads)
    device = driver.find_device(build)
    plan = driver.make_plan(graph, device, build)
    executor = device.compile(graph, plan, dict(initial_parameters(graph.params, 3)))
    losses = [np.array(executor.step(inputs_of(graph, number))["loss"]) for number in range(steps)]
    return {"losses": np.stack(losses), **executor.get_parameters()}


@cache
def ordinary(name: str) -> Mapping[str, Array]:
    return trained(step_of(name), 1)


def assert_same_bits(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> None:
    assert found.keys() == wanted.keys()
    different = [name for name in wanted if found[name].tobytes() != wanted[name].tobytes()]
    assert not different


# -- the same bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "threads"),
    [("zoo:lenet5", 1), ("zoo:lenet5", 2), ("lenet", 2), ("resnet", 2), ("densenet", 1), ("unet", 1), ("unet_bn", 2)],
)
def test_the_bits_are_those_without_recomputation(name: str, threads: int) -> None:
    graph = with_repeats(step_of(name), seed=threads, drops=12)
    assert len(repeated_nodes(graph)) >= 3
    assert_same_bits(trained(graph, threads), ordinary(name))


@pytest.mark.parametrize("name", ["resnet", "densenet"])
def test_small_plans_have_the_same_bits(name: str) -> None:
    graph = fitted(step_of(name), look(step_of(name)).bytes * 85 // 100)
    assert repeated_nodes(graph)
    assert_same_bits(trained(graph, 1), ordinary(name))


def test_dropout_draws_the_same_mask_and_statistics_move_once() -> None:
    graph = with_repeats(step_of("unet_bn"), seed=5, drops=30)
    again = {node.op for node in repeated_nodes(graph)}
    assert {"bn_apply", "conv", "dropout_apply", "maxpool"} <= again and "bn_train" not in again
    assert_same_bits(trained(graph, 1), ordinary("unet_bn"))


def test_the_reference_computes_the_same() -> None:
    step, graph = step_of("resnet"), with_repeats(step_of("resnet"), seed=2, drops=12)
    results = []
    for each in (step, graph):
        run = ReferenceStep(each, initial_parameters(each.params, 3), np.float64)
        losses = [np.array(run.step(inputs_of(each, number))["loss"]) for number in range(2)]
        results.append({"losses": np.stack(losses), **run.get_parameters()})
    assert_same_bits(results[1], results[0])


def test_plans_with_repeats_are_sound() -> None:
    """Run in a poisoned arena, with halos and packed weights and results that overwrite operands."""
    graph = with_repeats(step_of("densenet"), seed=6, drops=10)
    assert repeated_nodes(graph)
    check_plan(graph, batch=2)


# -- the rewrite -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["densenet", "unet_bn"])
def test_without_repeats_it_is_the_graph_before(name: str) -> None:
    graph = with_repeats(step_of(name), seed=4, drops=20)
    assert print_graph(without_repeats(graph)) == print_graph(step_of(name))
    merged, _ = run_passes(graph, [Cse()], mode=Mode.TRAINING)
    assert len(repeated_nodes(merged)) == len(repeated_nodes(graph)) > 0


def test_repeats_run_just_before_they_are_read() -> None:
    graph = with_repeats(step_of("resnet"), seed=3, drops=20)
    position = {node: index for index, node in enumerate(graph.nodes)}
    uses = graph.uses()
    repeats = set(repeated_nodes(graph))
    for node in repeats:
        first = min(position[reader] for reader, _ in uses[node.output])
        between = graph.nodes[position[node] + 1 : first]
        assert set(between) <= repeats, node


# -- fitting -----------------------------------------------------------------------------------------


def flops(graph: Graph) -> int:
    from netdsl.analysis.roofline import work_of

    return sum(work_of(node, BATCH).flops for node in repeated_nodes(graph))


@pytest.mark.parametrize("name", ["resnet", "densenet", "unet_bn"])
def test_the_plan_keeps_to_the_budget_and_less_memory_costs_more(name: str) -> None:
    step = step_of(name)
    whole, before = look(step).bytes, 0
    for percent in (100, 95, 90, 85):
        graph = fitted(step, whole * percent // 100)
        plan = driver.make_plan(graph, driver.find_device(Build()), Build(batch=BATCH, threads=1))
        assert plan.arena_bytes + plan.weights_bytes <= whole * percent // 100
        assert flops(graph) >= before
        before = flops(graph)
        assert (percent == 100) == (not repeated_nodes(graph))


def test_nothing_is_repeated_that_need_not_be() -> None:
    step = step_of("unet_bn")
    budget, decided = look(step).bytes * 8 // 10, look(step).decided
    graph = fitted(step, budget)
    names = [node.name for node in repeated_nodes(graph)]
    assert 3 <= len(names) <= FitMemory(budget, BATCH, look).most_tries
    for name in names:
        less, _ = graph.copy()
        _keep_first(less, less.node(name))
        assert look(less, decided).bytes > budget, name


def test_normalizations_are_repeated_before_convolutions() -> None:
    graph = fitted(step_of("resnet"), look(step_of("resnet")).bytes * 9 // 10)
    assert {node.op for node in repeated_nodes(graph)} == {"bn_apply"}


def test_a_budget_that_cannot_be_met_is_refused_with_what_can() -> None:
    with pytest.raises(ResourceLimit) as caught:
        fitted(step_of("resnet"), 5000)
    [error] = caught.value.diagnostics
    assert caught.value.exit_code == 4
    assert error.title == "a training step of `resnet` at batch 4 does not fit 5,000 bytes"
    assert error.notes[0].endswith(" bytes is the smallest plan that was found")
    assert error.notes[1] == f"{look(step_of('resnet')).bytes:,} bytes is the plan that computes nothing again"
