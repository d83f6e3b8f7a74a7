"""Convolution, deconvolution, fully connected layers and the gradients of their inputs: all are correlations."""

from __future__ import annotations

from dataclasses import replace

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step, View
from netdsl_llvm import pixel_lanes
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.conv_windows import conv_axes, transposed_conv_axes
from netdsl_llvm.emit import Value
from netdsl_llvm.kernels import correlate, grouped, pixels, pool, winograd
from netdsl_llvm.kernels.access import blocked
from netdsl_llvm.kernels.expression import Epilogue
from netdsl_llvm.kernels.sliding import Sliding
from netdsl_llvm.layouts import FilterLayout, GroupedFilter, PackedFilter
from netdsl_llvm.windows import Axis


def emit_conv(run: RunBuilder, step: Step) -> None:
    """conv(x, w[, bias])."""
    rows, cols = conv_axes(call_of(step))
    if _is_winograd(step):
        _emit_winograd(run, step, rows, cols)
    elif _has_pixel_lanes(run, step):
        _emit_pixels(run, step, step)
    else:
        _emit_phase(run, step, rows, cols)


def emit_pooled(run: RunBuilder, step: Step, reader: Step) -> None:
    """A convolution and the pool that alone reads it; see `netdsl_llvm.pixel_lanes`."""
    if _has_pixel_lanes(run, step):
        _emit_pixels(run, step, reader)
    else:
        emit_conv(run, step)
        run.barrier()
        pool.emit(run, reader)


def emit_transposed(run: RunBuilder, step: Step) -> None:
    """deconv(x, w[, bias]) or conv_grad_input(grad, w): one correlation for each phase of the strides."""
    rows, cols = transposed_conv_axes(call_of(step))
    if _is_winograd(step):
        _emit_winograd(run, step, rows[0], cols[0])
        return
    for row_axis in rows:
        for col_axis in cols:
            _emit_phase(run, step, row_axis, col_axis)


def emit_matrix(run: RunBuilder, step: Step) -> None:
    """A fully connected layer (x, w[, bias]), or the gradient of its input (grad, w): features are channels."""
    lanes = run.target.lanes
    x, y = blocked(step.inputs[0], lanes), blocked(step.outputs[0], lanes)
    sliding, epilogue = Sliding.of_vectors(x, y, has_bias(step)), Epilogue.of(step, lanes)
    correlate.call(
        run, packed_filter(step.inputs[1]), sliding, epilogue, _places(run, step, epilogue, (0, 0, 0), (0, 0))
    )


def packed_filter(view: View) -> PackedFilter:
    """The view's layout, which must be a packed filter."""
    if not isinstance(view.layout, PackedFilter):
        raise ValueError(f"expected a packed filter, not {view.layout}")
    return view.layout


def has_bias(step: Step) -> bool:
    return len(step.inputs) - step.epilogue_inputs == 3


def _is_winograd(step: Step) -> bool:
    """Direct kernels need no working memory."""
    return step.scratch is not None


def _emit_winograd(run: RunBuilder, step: Step, rows: Axis, cols: Axis) -> None:
    x, epilogue = blocked(step.inputs[0], run.target.lanes), Epilogue.of(step, run.target.lanes)
    start = rows.lowest * x.row_stride + cols.lowest * x.block
    sliding = Sliding.of_axes(x, blocked(step.outputs[0], run.target.lanes), rows, cols, (0, 0), has_bias(step))
    winograd.emit(run, step, sliding, epilogue, _places(run, step, epilogue, (start, 0, 0), (0, 0)))


def _has_pixel_lanes(run: RunBuilder, step: Step) -> bool:
    x, filter = step.inputs[0].layout, step.inputs[1].layout
    narrow = isinstance(x, Blocked) and x.block == 1 and isinstance(filter, PackedFilter)
    return narrow and pixel_lanes.fits(run.target, call_of(step))


def _emit_pixels(run: RunBuilder, step: Step, last: Step) -> None:
    """``last`` is the step itself or the pool behind it."""
    x, filter = step.inputs[0].layout, packed_filter(step.inputs[1])
    assert isinstance(x, Blocked)
    rows, cols = conv_axes(call_of(step))
    steps = (filter.kernel[1] * filter.tap_stride, filter.tap_stride)
    sliding = Sliding.of_axes(x, blocked(last.outputs[0], run.target.lanes), rows, cols, steps, has_bias(step))
    places: dict[str, Value] = {
        "x": run.k.at(run.pointer(step.inputs[0]), rows.in_first * x.row_stride + cols.in_first),
        "filter": run.pointer(step.inputs[1]),
        "y": run.pointer(last.outputs[0]),
    }
    if has_bias(step):
        places["bias"] = run.pointer(step.inputs[2])
    expr = step.epilogue if step.epilogue_inputs == 0 else None
    end = Epilogue.of(last if expr is None or last is not step else replace(step, epilogue=None), run.target.lanes)
    places |= {name: run.pointer(view) for name, view in end.pointers.items()}
    pixels.call(run, filter, sliding, pixels.Ends(expr, "" if last is step else last.op, end), places)


def _emit_phase(run: RunBuilder, step: Step, rows: Axis, cols: Axis) -> None:
    x, y, filter = step.inputs[0].layout, blocked(step.outputs[0], run.target.lanes), step.inputs[1].layout
    assert isinstance(x, Blocked)
    assert isinstance(filter, FilterLayout)
    filter_steps = (filter.kernel[1] * filter.tap_stride, filter.tap_stride)
    starts = (
        rows.in_first * x.row_stride + cols.in_first * x.block,
        rows.tap_first * filter_steps[0] + cols.tap_first * filter_steps[1],
        rows.out_first * y.row_stride + cols.out_first * y.block,
    )
    epilogue = Epilogue.of(step, run.target.lanes)
    places = _places(run, step, epilogue, starts, (rows.out_first, cols.out_first))
    stepped = tuple(replace(a, h=a.h * rows.out_step, w=a.w * cols.out_step) for a in epilogue.accesses)
    sliding = Sliding.of_axes(x, y, rows, cols, filter_steps, has_bias(step))
    epilogue = replace(epilogue, accesses=stepped)
    if isinstance(filter, GroupedFilter):
        grouped.call(run, filter, sliding, epilogue, places)
    else:
        correlate.call(run, filter, sliding, epilogue, places)


def _places(
    run: RunBuilder, step: Step, epilogue: Epilogue, starts: tuple[int, int, int], first: tuple[int, int]
) -> dict[str, Value]:
    """Addresses of the first input pixel, the first weights, the first result, and of the epilogue's operands there."""
    views = {"x": step.inputs[0], "filter": step.inputs[1], "y": step.outputs[0]}
    places = {
        name: run.k.at(run.pointer(view), start) for (name, view), start in zip(views.items(), starts, strict=True)
    }
    if has_bias(step):
        places["bias"] = run.pointer(step.inputs[2])
    for (name, view), access in zip(epilogue.pointers.items(), epilogue.accesses, strict=True):
        places[name] = run.k.at(run.pointer(view), first[0] * access.h + first[1] * access.w)
    return places
