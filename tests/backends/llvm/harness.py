"""One op on the CPU backend against its NumPy reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netdsl.ir.graph import Epilogue, Graph
from netdsl.ir.scalar import Expr, evaluate
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.ops.base import Call, get
from netdsl.ops.pointwise import align
from netdsl.plan.planner import plan_graph
from netdsl_llvm.codegen import module_text
from netdsl_llvm.compile import object_code
from netdsl_llvm.plan_target import CpuPlanTarget
from netdsl_llvm.runtime import Program
from netdsl_llvm.target import Target

Array = np.ndarray[Any, Any]
TARGETS = [name for name in ("avx512", "avx2", "sse4", "neon") if Target.named(name).runs_here]


def spread(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """(target, a value of each axis): every value meets every target, but not every other value.

    Kernels are the same text at every width, so the full product would mostly test the same thing again.
    """
    length = max(map(len, axes))
    return [
        (target, *(axis[(index + turn * place) % len(axis)] for place, axis in enumerate(axes)))
        for turn, target in enumerate(TARGETS)
        for index in range(length)
    ]


def compiled(graph: Graph, target: str, batch: int, threads: int = 1) -> Program:
    machine = Target.named(target)
    plan = plan_graph(graph, CpuPlanTarget(machine), batch=batch, threads=threads)
    return Program(plan, object_code(module_text(plan, machine), machine))


def single_op(
    op: str, attrs: Mapping[str, Any], types: Sequence[TensorType], epilogue: Expr | None = None, extra: int = 0
) -> Graph:
    """A graph of one node over inputs; the last `extra` of them belong to the epilogue."""
    graph = Graph("test")
    b = builder(graph)
    values = [b.input(f"x{index}", kind) for index, kind in enumerate(types)]
    main = values[: len(values) - extra]
    node = b.op(op, main, attrs, name="op")
    if epilogue is not None:
        node.inputs = values
        node.epilogue = Epilogue(epilogue, extra)
    for value in node.outputs:
        graph.outputs[f"y{value.index}"] = value
    return graph


def expected(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """Reference results, computed in float64."""
    (node,) = graph.layers
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
    call = Call.of(node)
    results = get(node.op).reference(call, wide[: len(call.inputs)])
    if node.epilogue is not None:
        kinds = [value.type for value in node.epilogue_inputs]
        result = node.types[0]
        extra = [
            align(a, kind, len(result.shape), result.batched)
            for a, kind in zip(wide[len(call.inputs) :], kinds, strict=True)
        ]
        results[0] = evaluate(node.epilogue.expr, [results[0], *extra])
    return results


def random_arrays(types: Sequence[TensorType], batch: int, seed: int = 0, labels: int = 10) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, labels, kind.full_shape(batch)).astype(np.int32)
        if kind.dtype is DType.I32
        else rng.standard_normal(kind.full_shape(batch)).astype(np.float32)
        for kind in types
    ]


def check(
    op: str,
    attrs: Mapping[str, Any],
    types: Sequence[TensorType],
    *,
    target: str,
    batch: int = 1,
    threads: int = 1,
    tolerance: float = 2e-6,
    epilogue: Expr | None = None,
    extra: int = 0,
    arrays: Sequence[Array] | None = None,
) -> None:
    """Compile, run twice (the arena is dirty the second time) and compare, relative to the largest element."""
    graph = single_op(op, attrs, types, epilogue, extra)
    arrays = list(arrays) if arrays is not None else random_arrays(types, batch)
    program = compiled(graph, target, batch, threads)
    program._arena[:] = np.nan
    first = program.run(arrays)
    second = program.run(arrays)
    for index, exact in enumerate(expected(graph, arrays)):
        got = first[f"y{index}"]
        assert got.shape == exact.shape
        assert np.array_equal(got, second[f"y{index}"], equal_nan=True)
        assert_close(got, exact, tolerance)


def assert_close(got: Array, exact: Array, tolerance: float) -> None:
    assert np.array_equal(np.isnan(got), np.isnan(exact))
    with np.errstate(invalid="ignore"):
        same = (got == exact.astype(np.float32)) | np.isnan(exact)
        finite = np.isfinite(exact)
        scale = max(float(np.abs(exact[finite]).max(initial=0.0)), 1e-30)
        error = np.where(same, 0.0, np.abs(got.astype(np.float64) - exact) / scale)
    assert error.max(initial=0.0) <= tolerance, float(error.max(initial=0.0))
