"""Random networks and their training steps, planned, fused or not, in an arena that holds NaN before the first run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netdsl.driver import choose_passes
from netdsl.ir.graph import Graph
from netdsl.passes import DEFAULT, run_passes
from netdsl.passes.base import Mode
from netdsl.plan.executor import Array
from netdsl.plan.planner import plan_graph
from netdsl.reference import Interpreter
from netdsl_llvm.codegen import module_text
from netdsl_llvm.compile import object_code
from netdsl_llvm.executor import CpuExecutor
from netdsl_llvm.plan_target import CpuPlanTarget
from netdsl_llvm.runtime import Program
from netdsl_llvm.target import Target
from tests.backends.llvm.harness import TARGETS
from tests.passes.nets import draw, parameter
from tests.passes.test_random_nets import IN_TRAINING, nets, training_step

ALL = tuple(one.name for one in DEFAULT)
FEW = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def executor(graph: Graph, params: dict[str, Array], target: str, batch: int, threads: int) -> CpuExecutor:
    machine = Target.named(target)
    plan = plan_graph(graph, CpuPlanTarget(machine), batch=batch, threads=threads)
    program = Program(plan, object_code(module_text(plan, machine), machine))
    program._arena[:] = np.nan
    return CpuExecutor(graph, program, params)


def parameters(graph: Graph) -> dict[str, Array]:
    return {node.name: parameter(node).astype(np.float32) for node in graph.params}


def same(got: Array, exact: Array, tolerance: float) -> bool:
    return bool(np.abs(got - exact).max() <= tolerance * max(np.abs(exact).max(), 1e-3))


@FEW
@given(nets(), st.booleans(), st.sampled_from(TARGETS), st.integers(1, 3), st.integers(1, 3))
def test_inference(graph: Graph, fused: bool, target: str, batch: int, threads: int) -> None:
    graph = run_passes(graph)[0] if fused else graph
    params = parameters(graph)
    inputs = {node.name: draw(node.name, node.types[0].full_shape(batch)).astype(np.float32) for node in graph.inputs}
    run = executor(graph, params, target, batch, threads)
    first, again = run.step(inputs), run.step(inputs)
    for name, exact in Interpreter(graph).run(inputs, params).outputs.items():
        assert same(first[name], exact, 1e-4), name
        assert np.array_equal(first[name], again[name]), name


@pytest.mark.parametrize("passes", [(), *((name,) for name in IN_TRAINING), ALL], ids=["none", *IN_TRAINING, "all"])
@settings(FEW, max_examples=4)
@given(nets(), st.sampled_from(TARGETS), st.integers(1, 3), st.integers(1, 3))
def test_training(passes: tuple[str, ...], graph: Graph, target: str, batch: int, threads: int) -> None:
    """No passes, each that rewrites training steps alone, and all: gradients (in the momentum), weights and
    statistics are those of the graph as it was made."""
    step = training_step(graph)
    graph, report = run_passes(step, choose_passes(passes), mode=Mode.TRAINING)
    assume(bool(report.rewritten) or not passes)
    params = parameters(step)
    inputs = {node.name: draw(node.name, node.types[0].full_shape(batch)).astype(np.float32) for node in graph.inputs}
    inputs |= {"lr": np.asarray(0.1, np.float32), "step": np.asarray(3, np.int32), "seed": np.asarray(5, np.int32)}
    inputs = {node.name: inputs[node.name] for node in graph.inputs}
    run = executor(graph, params, target, batch, threads)
    outputs = run.step(inputs)
    exact = Interpreter(step).run(inputs, params)
    assert all(same(outputs[name], value, 1e-4) for name, value in exact.outputs.items())
    after = run.get_parameters()
    for name, value in exact.updates.items():
        assert same(after[name], value, 1e-3), name
