"""Convolution, deconvolution, fully connected layers and the gradients of their inputs: all are correlations."""

from __future__ import annotations

from dataclasses import replace

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step, View
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.conv_windows import conv_axes, transposed_conv_axes
from netdsl_llvm.emit import Value
from netdsl_llvm.kernels.access import Access, blocked
from netdsl_llvm.kernels.correlate import Correlation, Taps, call, flattened
from netdsl_llvm.kernels.expression import Epilogue
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.windows import Axis


def emit_conv(run: RunBuilder, step: Step) -> None:
    """conv(x, w[, bias])."""
    rows, cols = conv_axes(call_of(step))
    _emit_phase(run, step, rows, cols)


def emit_transposed(run: RunBuilder, step: Step) -> None:
    """deconv(x, w[, bias]) or conv_grad_input(grad, w): one correlation for each phase of the strides."""
    rows, cols = transposed_conv_axes(call_of(step))
    for row_axis in rows:
        for col_axis in cols:
            _emit_phase(run, step, row_axis, col_axis)


def emit_matrix(run: RunBuilder, step: Step) -> None:
    """A fully connected layer (x, w[, bias]), or the gradient of its input (grad, w): features are channels."""
    lanes = run.target.lanes
    x, y, filter = blocked(step.inputs[0], lanes), blocked(step.outputs[0], lanes), filter_of(step.inputs[1])
    one = Taps(1, 0, 0)
    correlation = Correlation(
        filter,
        y.batch,
        1,
        1,
        Access(x.n_stride, x.cb_stride, 0, 0),
        Access(y.n_stride, y.cb_stride, 0, 0),
        one,
        one,
        has_bias(step),
    )
    call(run, *flattened(correlation, Epilogue.of(step, lanes)), _places(run, step, (0, 0, 0), 0, 0))


def filter_of(view: View) -> PackedFilter:
    """The view's layout, which must be a packed filter."""
    if not isinstance(view.layout, PackedFilter):
        raise ValueError(f"expected a packed filter, not {view.layout}")
    return view.layout


def has_bias(step: Step) -> bool:
    return len(step.inputs) - step.epilogue_inputs == 3


def _emit_phase(run: RunBuilder, step: Step, rows: Axis, cols: Axis) -> None:
    lanes = run.target.lanes
    x, y, filter = step.inputs[0].layout, blocked(step.outputs[0], lanes), filter_of(step.inputs[1])
    assert isinstance(x, Blocked)
    correlation = Correlation.of_axes(filter, x, y, rows, cols, has_bias(step))
    starts = (
        rows.in_first * x.row_stride + cols.in_first * x.block,
        (rows.tap_first * filter.kernel[1] + cols.tap_first) * filter.tap_stride,
        rows.out_first * y.row_stride + cols.out_first * y.block,
    )
    epilogue = Epilogue.of(step, lanes)
    places = _places(run, step, starts, rows.out_first, cols.out_first)
    stepped = tuple(replace(a, h=a.h * rows.out_step, w=a.w * cols.out_step) for a in epilogue.accesses)
    call(run, *flattened(correlation, replace(epilogue, accesses=stepped)), places)


def _places(
    run: RunBuilder, step: Step, starts: tuple[int, int, int], first_row: int, first_col: int
) -> dict[str, Value]:
    """Addresses of the first input pixel, the first weights, the first result, and of the epilogue's operands there."""
    views = {"x": step.inputs[0], "filter": step.inputs[1], "y": step.outputs[0]}
    places = {
        name: run.k.at(run.pointer(view), start) for (name, view), start in zip(views.items(), starts, strict=True)
    }
    if has_bias(step):
        places["bias"] = run.pointer(step.inputs[2])
    epilogue = Epilogue.of(step, run.target.lanes)
    for (name, view), access in zip(epilogue.pointers.items(), epilogue.accesses, strict=True):
        places[name] = run.k.at(run.pointer(view), first_row * access.h + first_col * access.w)
    return places
