"""Zeros around the maps of a value."""

from __future__ import annotations

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel

_EXTENTS = ("batch", "blocks", "height", "n_stride", "cb_stride", "row_stride", "above", "below", "left", "right")


def emit_zero_halo(run: RunBuilder, view: View, layout: Blocked) -> None:
    """One function for all shapes: halos are small, and their extents cost nothing as arguments."""
    top, bottom, left, right = layout.halo
    values = (
        layout.batch, layout.blocks, layout.height, layout.n_stride, layout.cb_stride, layout.row_stride,
        top * layout.row_stride + left * layout.block, bottom * layout.row_stride,
        left * layout.block, right * layout.block,
    )  # fmt: skip
    run.call("zero_halo", _build, {"y": view}, dict(zip(_EXTENTS, values, strict=True)))


def _build(k: Kernel) -> None:
    """Rows above, with the first row's left border; then what lies between rows; then the rows below."""
    begin, end = k.share(k.mul(k.arg("batch"), k.arg("blocks")))
    row, height = k.arg("row_stride"), k.arg("height")
    with k.loop(begin, end) as plane:
        n, cb = k.split(plane, k.arg("blocks"))
        y = k.at(k.arg("y"), k.add(k.mul(n, k.arg("n_stride")), k.mul(cb, k.arg("cb_stride"))))
        _zero(k, y, k.sub(0, k.arg("above")), k.arg("above"))
        gap = k.add(k.arg("left"), k.arg("right"))
        width = k.sub(row, gap)
        with k.loop(0, k.sub(height, 1)) as h:
            _zero(k, y, k.add(k.mul(h, row), width), gap)
        last = k.add(k.mul(k.sub(height, 1), row), width)
        _zero(k, y, last, k.add(k.arg("right"), k.arg("below")))


def _zero(k: Kernel, y: object, start: Index, count: Index) -> None:
    with k.loop(0, count) as i:
        k.store(k.f(0.0), y, k.add(start, i))
