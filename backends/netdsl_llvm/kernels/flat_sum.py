"""The sum of squares over a weight or its gradient, whatever order it lies in.

A packed weight is cut into a fixed number of parts, so that the sum does not depend on threads; what fills its layout
up is zero and adds nothing.
"""

from __future__ import annotations

from typing import Any

from netdsl.ir.scalar import Var
from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.reduce import emit_total, store_number
from netdsl_llvm.kernels.walk import sum_row, sum_vectors
from netdsl_llvm.scratch import FLAT_PARTS

ROW = 512
"""Vectors that are added up before their sum meets the others: rounding grows with rows and their number, not with
the product."""


def emit(run: RunBuilder, step: Step) -> None:
    """x -> the sum of x^2."""
    layout = step.inputs[0].layout
    assert layout is not None
    if isinstance(layout, Blocked):
        emit_total(run, step, Var(0) * Var(0), ("a",), 1.0)
        return
    if layout.size % run.target.lanes:
        raise ValueError(f"a packed weight of {layout.size} elements is not whole vectors")
    vectors = layout.size // run.target.lanes
    rows = -(-vectors // ROW)
    integers = {"vectors": vectors, "rows_each": -(-rows // FLAT_PARTS), "rows": rows}
    views: dict[str, Any] = {"x": step.inputs[0], "partial": step.scratch}
    run.call("square_sum_parts", _parts, views, integers)
    run.barrier()
    run.call("square_sum_total", _total, {"partial": step.scratch, "y": step.outputs[0]}, {})


def _parts(k: Kernel) -> None:
    begin, end = k.share(FLAT_PARTS)
    with k.loop(begin, end) as part:
        first = k.min(k.mul(part, k.arg("rows_each")), k.arg("rows"))
        last = k.min(k.add(first, k.arg("rows_each")), k.arg("rows"))
        with k.carried_loop(first, last, [k.v(0.0)]) as rows:
            rows.carry([k.b.fadd(rows.carried[0], _row(k, rows.index))])
        k.store(rows.results[0], k.arg("partial"), k.mul(part, k.lanes), align=4 * k.lanes)


def _row(k: Kernel, row: Index) -> Value:
    start = k.mul(row, ROW)
    width = k.min(k.sub(k.arg("vectors"), start), ROW)
    (found,) = sum_row(k, width, lambda w: [_square(k, k.add(start, w))], 1)
    return found


def _square(k: Kernel, vector: Index) -> Value:
    x = k.load(k.arg("x"), k.mul(vector, k.lanes))
    return k.b.fmul(x, x)


def _total(k: Kernel) -> None:
    with k.when(k.compare("==", k.arg("thread"), 0)):
        (vector,) = sum_vectors(k, k.arg("partial"), 0, FLAT_PARTS, 1)
        store_number(k, k.sum_lanes(vector), k.arg("y"))
