"""The gradient of max pooling by windows of few pixels: every element of dx is stored once for each row of windows.

A row of windows is walked along. Sums of columns that the next window holds as well stay in registers, and those of a
column are stored behind its last window: added to what the row of windows before has left, where that holds the row
of pixels, too. Where no later row of windows holds it, dx is complete, and the epilogue is applied.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.pool import Spans

MOST_TAPS = 16
"""Of a window: its code has no loops."""
MOST_PARTS = 25
"""Of a map, each with code of its own: the edges and corners, and what is between them."""


@dataclass(frozen=True)
class Run:
    """Windows `first` to `stop` of an axis, the first at position `start`, each `advance` behind the one before.

    Each holds `width` positions, of which the window before holds `shared`, and no later one the first `advance`; where
    `advance` is more than `width`, the positions between are in no window.
    """

    first: int
    stop: int
    start: int
    width: int
    shared: int
    advance: int

    @property
    def kept(self) -> int:
        """How many positions the next window holds as well."""
        return max(self.width - self.advance, 0)

    def position(self, k: Kernel, index: Index) -> Index:
        """The first position of a window."""
        return k.add(k.mul(k.sub(index, self.first), self.advance), self.start)


def runs_of(spans: Spans, length: int) -> tuple[Run, ...]:
    """The windows of an axis of `length` positions, those alike together."""
    found: list[Run] = []
    nexts = (*spans.starts[1:], length)
    for index, (start, stop, following) in enumerate(zip(spans.starts, spans.stops, nexts, strict=True)):
        shared = max(spans.stops[index - 1] - start, 0) if index else 0
        latest = found[-1] if found else None
        if latest is not None and (latest.width, latest.shared, latest.advance) == (
            stop - start,
            shared,
            following - start,
        ):
            found[-1] = Run(latest.first, index + 1, latest.start, latest.width, shared, latest.advance)
        else:
            found.append(Run(index, index + 1, start, stop - start, shared, following - start))
    return tuple(found)


@dataclass(frozen=True)
class SlidingMaxGrad:
    """(x, g) -> dx; `length` is the width of x."""

    x: Access
    g: Access
    dx: Access
    batch: int
    blocks: int
    length: int
    rows: tuple[Run, ...]
    columns: tuple[Run, ...]
    epilogue: Epilogue

    @property
    def key(self) -> str:
        """All that the code depends on."""
        accesses = self.x, self.g, self.dx
        return digest((accesses, self.batch, self.blocks, self.length, self.rows, self.columns, self.epilogue.key))

    @staticmethod
    def fits(rows: Sequence[Run], columns: Sequence[Run]) -> bool:
        """Whether windows are small, none is empty, and there are not too many kinds of them."""
        widest = max(run.width for run in rows) * max(run.width for run in columns)
        filled = min(run.width for run in (*rows, *columns)) > 0
        return filled and widest <= MOST_TAPS and len(rows) * len(columns) <= MOST_PARTS

    def build(self, k: Kernel) -> None:
        """Work items are maps: rows of windows may share pixels, so those of a map come one after the other."""
        begin, end = k.share(self.batch * self.blocks)
        with k.loop(begin, end) as item:
            n, cb = k.split(item, self.blocks)
            for rows in self.rows:
                with k.loop(rows.first, rows.stop) as oh:
                    _RowOfWindows(self, k, rows, (n, cb, oh)).emit()


class _RowOfWindows:
    """The code of one row of windows."""

    def __init__(self, grad: SlidingMaxGrad, k: Kernel, rows: Run, place: tuple[Index, Index, Index]) -> None:
        self.grad, self.k, self.rows = grad, k, rows
        self.n, self.cb, oh = place
        self.top = rows.position(k, oh)
        self.x = k.at(k.arg("x"), grad.x.offset(k, self.n, self.cb, self.top, 0))
        self.dx = k.at(k.arg("dx"), grad.dx.offset(k, self.n, self.cb, self.top, 0))
        self.g = k.at(k.arg("g"), grad.g.offset(k, self.n, self.cb, oh, 0))

    def emit(self) -> None:
        k, rows = self.k, self.rows
        kept: Sequence[Value] = []
        for run in self.grad.columns:
            if run.stop - run.first == 1:
                kept = self._window(run, run.first, kept)
                continue
            with k.carried_loop(run.first, run.stop, kept) as loop:
                loop.carry(self._window(run, loop.index, loop.carried))
            kept = loop.results
        if rows.advance > rows.width:
            with k.loop(rows.width, rows.advance) as row, k.loop(0, self.grad.length) as column:
                self._store(row, column, k.v(0.0))

    def _window(self, run: Run, ow: Index, kept: Sequence[Value]) -> list[Value]:
        """Add one window's gradient to the sums of its pixels, of which the first are `kept`; store those of columns
        that are complete and return the others. Sums are in the order of columns.
        """
        k, height = self.k, self.rows.width
        left = run.position(k, ow)
        g = k.load(self.g, k.mul(ow, self.grad.g.w), align=4 * k.lanes)
        sums = dict(enumerate(kept))
        for (row, column), hit in self._hits(run, left):
            place = column * height + row
            given = k.b.fadd(sums[place], g) if place in sums else g
            sums[place] = k.b.select(hit, given, sums.get(place, k.v(0.0)))
        for column in range(run.advance):
            for row in range(height):
                value = sums.get(column * height + row, k.v(0.0))
                self._leave(row, k.add(left, column), value)
        return [sums[place] for place in range((run.width - run.kept) * height, run.width * height)]

    def _hits(self, run: Run, left: Index) -> Iterator[tuple[tuple[int, int], Value]]:
        """Each pixel of a window, by row and column, and the lanes whose first maximum it is: where there are NaNs,
        the first of these.
        """
        k, grad = self.k, self.grad
        x = k.at(self.x, k.mul(left, grad.x.w))
        taps = [(row, column) for row in range(self.rows.width) for column in range(run.width)]
        values = [k.load(x, row * grad.x.h + column * grad.x.w, align=4 * k.lanes) for row, column in taps]
        nans = [k.b.fcmp_unordered("uno", value, value) for value in values]
        most = functools.reduce(lambda a, b: k.b.select(k.b.fcmp_ordered(">", a, b), a, b), values)
        most = k.b.select(functools.reduce(k.b.or_, nans), k.v(float("nan")), most)  # which nothing equals
        pending = k.lane_mask(k.lanes)
        for tap, value, nan in zip(taps[:-1], values, nans, strict=False):
            found = k.b.or_(k.b.fcmp_ordered("==", value, most), nan)
            yield tap, k.b.and_(pending, found)
            pending = k.b.and_(pending, k.b.not_(found))
        yield taps[-1], pending

    def _leave(self, row: int, column: Index, value: Value) -> None:
        """Give this row of windows' sum to a pixel."""
        if row < self.rows.shared:
            before = self.k.load(self.dx, self._offset(row, column), align=4 * self.k.lanes)
            value = self.k.b.fadd(before, value)
        self._store(row, column, value)

    def _store(self, row: Index, column: Index, value: Value) -> None:
        """Store a pixel's sum, or what the epilogue makes of it where no later row of windows adds to it."""
        k = self.k
        if not isinstance(row, int) or row < self.rows.advance:
            value = self.grad.epilogue.apply(k, value, self.n, self.cb, k.add(self.top, row), column)
        k.store(value, self.dx, self._offset(row, column), align=4 * k.lanes)

    def _offset(self, row: Index, column: Index) -> Index:
        dx = self.grad.dx
        return self.k.add(self.k.mul(row, dx.h), self.k.mul(column, dx.w))
