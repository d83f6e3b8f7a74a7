"""Flatten and reshape where elements really move."""

from __future__ import annotations

from typing import Any

from netdsl.plan.layout import Blocked, canonical
from netdsl.plan.plan import Step, View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.arrange import emit_copy
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.relayout import load_rows, move, store_rows


def emit(run: RunBuilder, step: Step) -> None:
    """The same elements in the same order under another shape."""
    lanes = run.target.lanes
    source, result = (canonical(kind.shape) for kind in (step.input_types[0], step.output_types[0]))
    x, y = step.inputs[0].layout, blocked(step.outputs[0], lanes)
    assert isinstance(x, Blocked)
    if x.block == 1 and x.row_stride == x.width and _is_row(y):
        move(run, _as_vector(step.inputs[0], x, y.channels), step.outputs[0], "load", load_rows)
    elif x.block != lanes:
        _emit_elements(run, step, x, y)
    elif source == result:
        emit_copy(run, step)
    elif _is_row(y):
        move(run, _as_plain(step.outputs[0], y, source), step.inputs[0], "store", store_rows)
        _zero_tail(run, step.outputs[0], y)
    elif _is_row(x):
        move(run, _as_plain(step.inputs[0], x, result), step.outputs[0], "load", load_rows)
    else:
        _emit_elements(run, step, x, y)


def _is_row(layout: Blocked) -> bool:
    """Whether a sample's elements lie one after the other in their order."""
    return layout.height == layout.width == 1 and (layout.blocks == 1 or layout.cb_stride == layout.block)


def _as_plain(view: View, layout: Blocked, shape: tuple[int, int, int]) -> View:
    """Such a row seen as a row-major (C, H, W)."""
    channels, height, width = shape
    plain = Blocked(layout.batch, channels, height, width, 1, (0, 0, 0, 0), layout.n_stride, height * width, width)
    return View(view.region, view.offset, plain, view.dtype)


def _as_vector(view: View, layout: Blocked, channels: int) -> View:
    """A row-major map seen as so many channels."""
    vector = Blocked(layout.batch, channels, 1, 1, 1, (0, 0, 0, 0), layout.n_stride, 1, 1)
    return View(view.region, view.offset, vector, view.dtype)


def _zero_tail(run: RunBuilder, view: View, layout: Blocked) -> None:
    """Zeros in the pad channels of a row."""
    count = layout.blocks * layout.block - layout.channels
    if not count:
        return

    def build(k: Kernel) -> None:
        begin, end = k.share(k.arg("batch"))
        with k.loop(begin, end) as n, k.loop(0, k.arg("count")) as i:
            k.store(k.f(0.0), k.arg("y"), k.add(k.mul(n, k.arg("n_stride")), k.arg("first"), i))

    integers = {"batch": layout.batch, "n_stride": layout.n_stride, "first": layout.channels, "count": count}
    run.call("zero_tail", build, {"y": view}, integers)


def _emit_elements(run: RunBuilder, step: Step, x: Blocked, y: Blocked) -> None:
    """Element by element, in the order of the result."""
    source, result = own_access(step.inputs[0], x.block), own_access(step.outputs[0], y.block)
    shape, block = canonical(step.input_types[0].shape), x.block
    pointers: dict[str, Any] = {"x": step.inputs[0], "y": step.outputs[0]}
    run.call(
        f"reshape_{digest((source, block, result, shape, y))}",
        lambda k: _elements(k, source, block, result, shape, y),
        pointers,
    )


def _elements(k: Kernel, source: Access, block: int, result: Access, shape: tuple[int, int, int], y: Blocked) -> None:
    begin, end = k.share(y.batch * y.blocks * y.height)
    with k.loop(begin, end) as item:
        n, cb, h = k.split(item, y.blocks, y.height)
        first = k.mul(cb, y.block)
        count = k.min(k.sub(y.channels, first), y.block)
        with k.loop(0, y.width) as w:
            place = result.offset(k, n, cb, h, w)
            k.store(k.v(0.0), k.arg("y"), place)
            with k.loop(0, count) as lane:
                index = k.add(k.mul(k.add(k.mul(k.add(first, lane), y.height), h), y.width), w)
                value = k.load_float(k.arg("x"), _element(k, source, block, shape, n, index))
                k.store(value, k.arg("y"), k.add(place, lane))


def _element(k: Kernel, access: Access, block: int, shape: tuple[int, int, int], n: Index, index: Index) -> Index:
    """Where element `index` of a sample, in row-major order, lies."""
    c, h, w = k.split(index, shape[1], shape[2])
    cb, lane = k.split(c, block)
    return k.add(access.offset(k, n, cb, h, w), lane)
