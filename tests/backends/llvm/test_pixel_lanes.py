"""Convolutions with pixels in the lanes, alone and with the pool behind them, against the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.ir.graph import Epilogue, Graph, Node
from netdsl.ir.scalar import Expr, Var, evaluate, maximum, tanh
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.ops.base import Call, get
from netdsl.ops.pointwise import align
from netdsl.plan.planner import plan_graph
from netdsl_llvm import pixel_lanes
from netdsl_llvm.codegen import module_text
from netdsl_llvm.plan_target import CpuPlanTarget
from netdsl_llvm.target import Target
from tests.backends.llvm.harness import TARGETS, assert_close, compiled, random_arrays

ACTIVATIONS: dict[str, Expr | None] = {"none": None, "relu": maximum(Var(0), 0.0), "tanh": tanh(Var(0))}
POOL = {"kernel": (2, 2), "stride": (2, 2), "pad": (0, 0, 0, 0), "round": "floor"}
POOLS: dict[str, Mapping[str, Any]] = {
    "maxpool": POOL,
    "avgpool": POOL | {"count_include_pad": True, "to": None},
}


@dataclass(frozen=True)
class Case:
    outputs: int
    size: tuple[int, int]
    kernel: tuple[int, int] = (3, 3)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    step: int = 1
    dilation: tuple[int, int] = (1, 1)
    bias: bool = True
    activation: str = "none"
    pool: str = ""
    operand: str = ""
    batch: int = 1

    def graph(self) -> Graph:
        graph = Graph("test")
        b = builder(graph)
        if self.operand == "channel":
            channel = b.input("e", TensorType((self.outputs,), False))
            # read before, so that it is in its place by the time of the convolution
            graph.outputs["z"] = b.op("relu", [channel], name="relu").output
        x = b.input("x", TensorType((1, *self.size)))
        operands = [x, b.input("w", TensorType((self.outputs, 1, *self.kernel), False))]
        if self.bias:
            operands.append(b.input("b", TensorType((self.outputs,), False)))
        attrs = {"stride": (self.step, 1), "pad": self.pad, "dilation": self.dilation, "kernel": self.kernel}
        node = b.op("conv", operands, {**attrs, "channels": self.outputs, "groups": 1, "bias": self.bias}, name="conv")
        expr = ACTIVATIONS[self.activation]
        node.epilogue = None if expr is None else Epilogue(expr, 0)
        if self.pool:
            node = b.op(self.pool, [node.output], POOLS[self.pool], name="pool")
        if self.operand:
            operand = b.input("e", node.types[0]) if self.operand == "map" else channel
            node.inputs = [*node.inputs, operand]
            node.epilogue = Epilogue(tanh(Var(0) * Var(1) + 0.5), 1)
        graph.outputs["y"] = node.output
        return graph


def exact(node: Node, known: Mapping[str, np.ndarray]) -> np.ndarray:
    """In float64."""
    if node.op == "input":
        return known[node.name].astype(np.float64)
    (result,) = get(node.op).reference(Call.of(node), [exact(value.node, known) for value in node.main_inputs])
    if node.epilogue is None:
        return np.asarray(result)
    kind = node.types[0]
    operands = [align(known[value.name], value.type, len(kind.shape), kind.batched) for value in node.epilogue_inputs]
    return np.asarray(evaluate(node.epilogue.expr, [result, *operands]))


def check(case: Case, target: str, threads: int = 1) -> np.ndarray:
    graph = case.graph()
    kinds = [node.output.type for node in graph.inputs]
    arrays = random_arrays(kinds, case.batch, seed=case.outputs)
    program = compiled(graph, target, case.batch, threads)
    program._arena[:] = np.nan
    got = program.run(arrays)["y"]
    known = dict(zip([node.name for node in graph.inputs], arrays, strict=True))
    assert_close(got, exact(graph.outputs["y"].node, known), 2e-6)
    return got


sides = st.integers(1, 5)
CASES = st.builds(
    Case,
    outputs=st.integers(1, 20),
    size=st.tuples(st.integers(6, 13), st.integers(8, 67)),
    kernel=st.tuples(sides, sides),
    pad=st.tuples(*[st.integers(0, 3)] * 4),
    step=st.integers(1, 2),
    bias=st.booleans(),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    pool=st.sampled_from(["", *POOLS]),
    operand=st.sampled_from(["", "map", "channel"]),
    batch=st.integers(1, 3),
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(CASES, st.sampled_from(TARGETS))
def test_random_shapes(case: Case, target: str) -> None:
    check(case, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "case",
    [
        Case(6, (32, 32), (5, 5), activation="tanh", pool="avgpool"),
        Case(20, (28, 28), (5, 5), pool="maxpool"),
        Case(1, (9, 49), pad=(1, 1, 1, 1), pool="maxpool", batch=2),
        Case(3, (7, 35), dilation=(2, 3), activation="relu"),
        Case(4, (12, 100), (1, 1), step=2, bias=False, operand="map"),
        Case(6, (32, 32), (5, 5), activation="tanh", pool="avgpool", operand="channel"),
    ],
)
def test_shapes_of_networks(case: Case, target: str) -> None:
    """On any threads the same bits."""
    assert np.array_equal(check(case, target), check(case, target, threads=3))


def test_not_a_number_comes_through() -> None:
    graph = Case(2, (20, 40), pool="maxpool").graph()
    arrays = random_arrays([node.output.type for node in graph.inputs], 1)
    arrays[0][0, 0, 7, 21] = np.nan
    got = compiled(graph, TARGETS[0], 1).run(arrays)["y"]
    seen = np.zeros((9, 19), bool)
    seen[2:4, 9:11] = True
    assert np.array_equal(np.isnan(got[0]), np.stack([seen, seen]))


def test_where_it_pays() -> None:
    wide = Target.named("avx512")
    few, many, narrow = (Case(*shape).graph() for shape in ((6, (28, 28)), (64, (28, 28)), (6, (12, 12))))
    calls = [Call.of(graph.outputs["y"].node) for graph in (few, many, narrow)]
    assert [pixel_lanes.fits(wide, call) for call in calls] == [True, False, False]


@pytest.mark.parametrize("operand", ["", "channel"])
def test_the_pool_has_no_kernel_of_its_own(operand: str) -> None:
    target = Target.named("avx512")
    plan = plan_graph(Case(6, (28, 28), pool="maxpool", operand=operand).graph(), CpuPlanTarget(target), batch=1)
    text = module_text(plan, target)
    assert text.count('define internal void @"pixels_') == 1
    assert "maxpool" not in text
