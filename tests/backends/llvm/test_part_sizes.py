"""Batches that run in parts: the same answers, the choice of sizes, and what it saves."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.driver import Build, Origin, find_device, load, make_plan, optimize
from netdsl.ir.graph import Graph, Node
from netdsl.passes import run_passes
from netdsl.plan.executor import Array
from netdsl.plan.plan import Plan
from netdsl.plan.planner import plan_graph
from netdsl.record import record
from netdsl.reference import Interpreter
from netdsl_llvm.codegen import module_text
from netdsl_llvm.compile import object_code
from netdsl_llvm.executor import CpuExecutor
from netdsl_llvm.part_sizes import cheapest_way
from netdsl_llvm.plan_target import CpuPlanTarget
from netdsl_llvm.runtime import Program
from netdsl_llvm.target import Target
from netdsl_llvm.timed import TimedProgram, timed_module_text
from tests.backends.llvm.harness import TARGETS
from tests.backends.llvm.test_random_networks import FEW, parameters, same
from tests.passes.nets import draw
from tests.passes.test_random_nets import nets

BATCH = 6


@record
class InParts(CpuPlanTarget):
    """Takes the sizes that a test says, each for two layers in turn."""

    sizes: tuple[int, ...] = (BATCH,)

    def part_sizes(self, nodes: Sequence[Node], resident: Set[int], batch: int) -> list[int]:
        return [self.sizes[index // 2 % len(self.sizes)] for index in range(len(nodes))]


def plan_in_parts(graph: Graph, target: str, sizes: tuple[int, ...], threads: int = 1) -> Plan:
    return plan_graph(graph, InParts(Target.named(target), sizes=sizes), batch=BATCH, threads=threads)


def run(graph: Graph, plan: Plan, target: str) -> dict[str, Array]:
    """The second of two runs in an arena that holds NaN before the first."""
    machine, inputs = Target.named(target), inputs_of(graph)
    program = Program(plan, object_code(module_text(plan, machine), machine))
    program._arena[:] = np.nan
    executor = CpuExecutor(graph, program, parameters(graph))
    executor.step(inputs)
    return executor.step(inputs)


def inputs_of(graph: Graph) -> dict[str, Array]:
    return {node.name: draw(node.name, node.types[0].full_shape(BATCH)).astype(np.float32) for node in graph.inputs}


@FEW
@given(nets(), st.booleans(), st.sampled_from(TARGETS), st.lists(st.sampled_from((1, 2, 3, 6)), min_size=1, max_size=4))
def test_random_networks(graph: Graph, fused: bool, target: str, sizes: list[int]) -> None:
    """Equal to the float64 oracle within what float32 loses, and with the same bits on one, two and three threads."""
    graph = run_passes(graph)[0] if fused else graph
    results = [run(graph, plan_in_parts(graph, target, tuple(sizes), threads), target) for threads in (1, 2, 3)]
    for name, exact in Interpreter(graph).run(inputs_of(graph), parameters(graph)).outputs.items():
        assert same(results[0][name], exact, 1e-4), name
        assert all(np.array_equal(results[0][name], other[name]) for other in results[1:]), name


@pytest.mark.parametrize("threads", [1, 2])
def test_times_of_steps_are_those_of_all_parts(threads: int) -> None:
    graph = optimized("zoo:lenet5", BATCH)
    plan, machine = plan_in_parts(graph, TARGETS[0], (1, 2, 6), threads), Target.named(TARGETS[0])
    assert {step.times for step in plan.steps} == {1, 3, 6}
    program = TimedProgram(plan, object_code(timed_module_text(plan, machine), machine))
    executor = CpuExecutor(graph, program, parameters(graph))
    found = executor.step(inputs_of(graph))
    seconds, marks = program.step_seconds(), np.diff(program._times @ [1, 1e-9])
    assert len(seconds) == len(plan.steps)
    assert (marks >= 0).all()
    assert seconds.sum() == pytest.approx(marks.sum())
    assert len(marks) == sum(step.times for step in plan.steps)
    for name, exact in run(graph, plan, TARGETS[0]).items():
        assert np.array_equal(found[name], exact)


def optimized(where: str, batch: int) -> Graph:
    return optimize(load(Origin(where, None, {})).graph, Build(target="cpu:avx512", batch=batch))[0]


# -- the choice ----------------------------------------------------------------------------


def plan_of(where: str, batch: int, threads: int = 1, exact: bool = False) -> Plan:
    build = Build(target="cpu:avx512", batch=batch, threads=threads)
    device = find_device(build)
    return make_plan(optimized(where, batch), device.exact() if exact else device, build)


@pytest.mark.parametrize("exact", [False, True])
def test_large_maps_run_in_small_parts(exact: bool) -> None:
    """Maps of 56 x 56 a sample at a time, the last layer, which is all weights, for the whole batch; in between the
    samples that fit the caches."""
    plan = plan_of("zoo:resnet50", 16, exact=exact)
    assert plan.steps[0].times == plan.steps[1].times == 16
    assert next(step for step in plan.steps if step.op == "fc").times == 1
    one = plan_of("zoo:resnet50", 1, exact=exact)
    assert {step.times for step in one.steps} == {1}
    assert plan.arena_size < 6 * one.arena_size


@pytest.mark.parametrize("where", ["zoo:lenet5", "zoo:resnet18", "zoo:googlenet", "zoo:alexnet"])
def test_threads_have_no_say(where: str) -> None:
    """What runs at a time decides which algorithms are best, and so the last bits of results."""
    first, second = (plan_of(where, 8, threads).steps for threads in (1, 2))
    assert [(step.name, step.times) for step in first] == [(step.name, step.times) for step in second]


def test_small_networks_run_whole() -> None:
    assert {step.times for step in plan_of("zoo:lenet5", 16).steps} == {1}


TABLES = st.integers(1, 4).flatmap(
    lambda sizes: st.lists(
        st.tuples(st.lists(st.integers(0, 9), min_size=sizes, max_size=sizes), st.integers(0, 9)),
        min_size=1,
        max_size=5,
    )
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TABLES)
def test_no_way_is_cheaper(table: list[tuple[list[int], int]]) -> None:
    costs, borders = [row for row, _ in table], [border for _, border in table]
    count = len(costs[0])

    def total(way: Sequence[int]) -> int:
        changes = sum(border for (a, b), border in zip(pairwise(way), borders[1:], strict=True) if a != b)
        return sum(row[index] for row, index in zip(costs, way, strict=True)) + changes

    found = cheapest_way(range(count), costs, borders)
    assert total(found) == min(map(total, product(range(count), repeat=len(costs))))
