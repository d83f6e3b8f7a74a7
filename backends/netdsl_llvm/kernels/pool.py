"""Maximum and average pooling: one vector of channels an output pixel, windows cut off at the map's edges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.ops.pool import adaptive_spans, counts
from netdsl.ops.window import Window, windows_of
from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.lookup import FloatTable, IndexTable

MOST_TAPS = 32


@dataclass(frozen=True)
class Spans:
    """Where the windows of an axis start and stop inside the map, and what their sums are divided by."""

    starts: tuple[int, ...]
    stops: tuple[int, ...]
    divisors: tuple[int, ...]

    @staticmethod
    def of(window: Window, outputs: int, include_pad: bool) -> Spans:
        firsts = [index * window.stride - window.before for index in range(outputs)]
        starts = tuple(max(0, first) for first in firsts)
        stops = tuple(min(first + window.kernel, window.length) for first in firsts)
        return Spans(starts, stops, tuple(counts(window, outputs, include_pad)))

    @staticmethod
    def adaptive(length: int, outputs: int) -> Spans:
        pairs = list(adaptive_spans(length, outputs))
        starts, stops = tuple(start for start, _ in pairs), tuple(stop for _, stop in pairs)
        return Spans(starts, stops, tuple(stop - start for start, stop in pairs))


def spans_of(step: Step, shape: Sequence[int], outputs: Sequence[int]) -> tuple[Spans, Spans]:
    """(rows, columns) of a pool's windows over a map of `shape`."""
    attrs = step.attrs
    if attrs.get("to") is not None:
        return Spans.adaptive(shape[1], outputs[1]), Spans.adaptive(shape[2], outputs[2])
    include = bool(attrs.get("count_include_pad", True))
    vertical, horizontal = windows_of(attrs, shape)
    return Spans.of(vertical, outputs[1], include), Spans.of(horizontal, outputs[2], include)


@dataclass(frozen=True)
class Inner:
    """The output columns whose windows lie inside the map entirely, one stride apart: `first` to `stop`."""

    first: int
    stop: int
    width: int
    stride: int

    @staticmethod
    def of(spans: Spans) -> Inner:
        """Columns with the widest window that follow each other regularly; the others are the edges."""
        widths = [stop - start for start, stop in zip(spans.starts, spans.stops, strict=True)]
        widest = max(widths)
        first = widths.index(widest)
        stride = spans.starts[first + 1] - spans.starts[first] if first + 1 < len(widths) else 1
        stop = first + 1
        while stop < len(widths) and widths[stop] == widest and spans.starts[stop] - spans.starts[stop - 1] == stride:
            stop += 1
        return Inner(first, stop, widest, stride)

    def start(self, k: Kernel, index: Index, spans: Spans) -> Index:
        """The first column of a window between the edges."""
        return k.add(k.mul(k.sub(index, self.first), self.stride), spans.starts[self.first])


def emit(run: RunBuilder, step: Step) -> None:
    """`maxpool` or `avgpool`, with an epilogue."""
    lanes = run.target.lanes
    x, y = own_access(step.inputs[0], lanes), own_access(step.outputs[0], lanes)
    layout = blocked(step.outputs[0], lanes)
    rows, columns = spans_of(step, step.input_types[0].shape, step.output_types[0].shape)
    epilogue = Epilogue.of(step, lanes)
    pool = _Pool(step.op == "maxpool", x, y, layout, rows, columns, epilogue)
    key = f"{step.op}_{digest((x, y, layout, rows, columns, epilogue.key))}"
    pointers: dict[str, Any] = {"x": step.inputs[0], "y": step.outputs[0], **epilogue.pointers}
    run.call(key, pool.build, pointers)


@dataclass(frozen=True)
class _Pool:
    largest: bool
    x: Access
    y: Access
    layout: Blocked
    rows: Spans
    columns: Spans
    epilogue: Epilogue

    def build(self, k: Kernel) -> None:
        """Work items are rows of results: edges by tables of window limits, the columns between in a loop."""
        layout, inner = self.layout, Inner.of(self.rows)
        tables = _Tables(k, self.rows, self.columns)
        begin, end = k.share(layout.batch * layout.blocks * layout.height)
        with k.loop(begin, end) as item:
            n, cb, h = k.split(item, layout.blocks, layout.height)
            top, bottom = tables.row(h)

            def row(height: Index) -> None:
                self._row(k, tables, (n, cb, h), top, height)

            if inner.first == 0 and inner.stop == layout.height:
                row(inner.width)
            else:
                with k.either(k.compare("==", k.sub(bottom, top), inner.width)) as (then, otherwise):
                    with then:
                        row(inner.width)
                    with otherwise:
                        row(k.sub(bottom, top))

    def _row(self, k: Kernel, tables: _Tables, place: tuple[Index, Index, Index], top: Index, height: Index) -> None:
        """A row of results: edges by tables of window limits, the columns between in a loop."""
        (n, cb, h), inner = place, Inner.of(self.columns)
        x = k.at(k.arg("x"), self.x.offset(k, n, cb, top, 0))

        def pixel(w: Index, left: Index, width: Index) -> None:
            value = self._window(k, k.at(x, k.mul(left, self.x.w)), height, width)
            if not self.largest:
                value = k.b.fdiv(value, tables.divisor(h, w))
            value = self.epilogue.apply(k, value, n, cb, h, w)
            k.store(value, k.arg("y"), self.y.offset(k, n, cb, h, w), align=4 * k.lanes)

        def edge(start: int, stop: int) -> None:
            with k.loop(start, stop) as w:
                left, right = tables.column(w)
                pixel(w, left, k.sub(right, left))

        edge(0, inner.first)
        with k.loop(inner.first, inner.stop) as w:
            pixel(w, inner.start(k, w, self.columns), inner.width)
        edge(inner.stop, self.layout.width)

    def _window(self, k: Kernel, x: Value, height: Index, width: Index) -> Value:
        """The largest, or the sum, of a window whose first pixel is at `x`."""
        start = k.v(float("-inf") if self.largest else 0.0)
        join = k.maximum if self.largest else k.b.fadd

        def row(offset: Index) -> Value:
            """A row of its own, so that a mean's rounding error grows with the sides of a window, not its area."""
            if isinstance(width, int) and width <= MOST_TAPS:
                parts = [k.load(x, k.add(offset, column * self.x.w), align=4 * k.lanes) for column in range(width)]
                return functools.reduce(join, parts)
            with k.carried_loop(0, width, [start]) as columns:
                part = k.load(x, k.add(offset, k.mul(columns.index, self.x.w)), align=4 * k.lanes)
                columns.carry([join(columns.carried[0], part)])
            return columns.results[0]

        if isinstance(height, int) and isinstance(width, int) and height * width <= MOST_TAPS:
            return functools.reduce(join, [row(index * self.x.h) for index in range(height)])
        with k.carried_loop(0, height, [start]) as rows:
            rows.carry([join(rows.carried[0], row(k.mul(rows.index, self.x.h)))])
        return rows.results[0]


class _Tables:
    """Window limits as constants in the code's memory; nothing is looked up where all are the same."""

    def __init__(self, k: Kernel, rows: Spans, columns: Spans) -> None:
        self.k = k
        self._rows = IndexTable(k, rows.starts), IndexTable(k, rows.stops)
        self._columns = IndexTable(k, columns.starts), IndexTable(k, columns.stops)
        self._row_counts = FloatTable(k, [float(n) for n in rows.divisors])
        self._column_counts = FloatTable(k, [float(n) for n in columns.divisors])

    def row(self, h: Index) -> tuple[Index, Index]:
        return self._rows[0].at(h), self._rows[1].at(h)

    def column(self, w: Index) -> tuple[Index, Index]:
        return self._columns[0].at(w), self._columns[1].at(w)

    def divisor(self, h: Index, w: Index) -> Value:
        """How many positions the mean is over, in every lane."""
        return self.k.splat(self.k.b.fmul(self._row_counts.at(h), self._column_counts.at(w)))
