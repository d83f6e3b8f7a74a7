"""Gradients of the filters of convolutions and fully connected layers."""

from __future__ import annotations

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step, View
from netdsl_llvm.algorithms import best_gradient
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.conv_windows import grad_weight_axes
from netdsl_llvm.emit import Value
from netdsl_llvm.kernels import winograd_gradient
from netdsl_llvm.kernels.access import Access, blocked
from netdsl_llvm.kernels.conv import packed_filter
from netdsl_llvm.kernels.outer import OuterSum, build
from netdsl_llvm.kernels.sliding import Taps


def emit(run: RunBuilder, step: Step) -> None:
    """conv_grad_weight(g, x)."""
    g, x, filter = blocked(step.inputs[0], run.target.lanes), step.inputs[1].layout, packed_filter(step.outputs[0])
    assert isinstance(x, Blocked)
    work = best_gradient(run.target, call_of(step), g.batch) if step.scratch is not None else None
    if work is not None:
        winograd_gradient.emit(run, step, filter, work)
        return
    rows, cols = grad_weight_axes(call_of(step))
    first = rows.in_first * x.row_stride + cols.in_first * x.block
    _call(run, step, OuterSum.of_axes(filter, g, x, rows, cols), run.k.at(run.pointer(step.inputs[1]), first))


def emit_matrix(run: RunBuilder, step: Step) -> None:
    """fc_grad_weight(g, x)."""
    g, x = (blocked(view, run.target.lanes) for view in step.inputs[:2])
    one = Taps(1, 0, 0)
    g_access, x_access = (Access(a.n_stride, a.cb_stride, 0, 0) for a in (g, x))
    outer = OuterSum(packed_filter(step.outputs[0]), g.batch, 1, 1, g_access, x_access, one, one)
    _call(run, step, outer, step.inputs[1])


def _call(run: RunBuilder, step: Step, outer: OuterSum, x: View | Value) -> None:
    outer = outer.flattened()
    run.call(
        outer.key,
        lambda k: build(k, outer),
        {"g": step.inputs[0], "x": x, "filter": step.outputs[0]},
        noalias=("filter",),
    )
