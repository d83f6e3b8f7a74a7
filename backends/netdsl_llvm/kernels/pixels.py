"""Convolutions of one input channel with neighbouring pixels in the lanes, and the pool behind them.

A row of results is cut into registers of pixels; the last one ends where the row ends and shares pixels with the one
before. Inputs are read as they lie, a register for each tap, and multiplied by one weight in all lanes. Two rows of
results wait in the stack, channel after channel, with the mean or the largest of the two where they are pooled. From
there they are turned to the blocked layout. See `netdsl_llvm.pixel_lanes` for where this pays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from netdsl.ir.scalar import Expr
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.expression import Epilogue, digest, emit_expression
from netdsl_llvm.kernels.relayout import transpose
from netdsl_llvm.kernels.sliding import Sliding, for_part, keep_order, over_taps
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.pixel_lanes import HALF
from netdsl_llvm.tiling import Split

UNROLLED = 256
"""Multiply-adds of a row of taps that are emitted one after the other."""


@dataclass(frozen=True)
class Ends:
    """What is done to results: ``expr`` while pixels are in the lanes, then the op ``pool`` if there is one, then the
    epilogue while channels are.
    """

    expr: Expr | None
    pool: str
    epilogue: Epilogue


def call(run: RunBuilder, filter: PackedFilter, sliding: Sliding, ends: Ends, places: Mapping[str, Value]) -> None:
    """Call the kernel; ``places`` as for `correlate.call`. With a pool, ``y`` and its strides are of its result."""
    s = replace(sliding, x=replace(sliding.x, cb=0))
    key = f"pixels_{s.title}_{digest((filter, s, ends.expr, ends.pool))}{ends.epilogue.key}"
    run.call(key, lambda k: _Builder(k, filter, s, ends).build(), places)


@dataclass(frozen=True)
class _Builder:
    k: Kernel
    filter: PackedFilter
    s: Sliding
    ends: Ends

    @property
    def pool(self) -> str:
        return self.ends.pool

    @property
    def width(self) -> int:
        """Results of a row that are needed."""
        return self.s.cols // HALF * HALF if self.pool else self.s.cols

    def build(self) -> None:
        """Work items are sample and pair of rows."""
        k, s = self.k, self.s
        rows = s.rows // HALF * HALF if self.pool else s.rows
        pairs = Split(rows, -(-rows // HALF))
        begin, end = k.share(s.batch * pairs.parts)
        with k.loop(begin, end) as item:
            n, pair = k.split(item, pairs.parts)
            for_part(k, pairs, pair, lambda h, height: self._rows(_Rows(n, pair, h, height)))

    def _rows(self, r: _Rows) -> None:
        k, outputs = self.k, self.filter.outputs
        lines = 1 if self.pool else r.height
        waiting = k.scratch(min(k.lanes, outputs) * lines * self.width + 2 * k.lanes)
        for first in range(0, outputs, k.lanes):
            channels = range(first, min(first + k.lanes, outputs))
            self._compute(r, channels, waiting)
            for line in range(lines):
                self._turn(r, channels, waiting, line, lines)

    # -- results -----------------------------------------------------------------------------

    def _compute(self, r: _Rows, channels: range, waiting: Value) -> None:
        """All pixels of these channels into ``waiting``, as [channel][line][pixel]."""
        registers = self.k.target.registers
        beside = 2 if registers >= 32 else 1
        most = (registers - 2) // (r.height * beside) - 1
        for chunk in (channels[i : i + most] for i in range(0, len(channels), most)):
            self._columns(beside, partial(self._tile, r, chunk, chunk.start - channels.start, waiting))

    def _columns(self, beside: int, tile: Callable[[Index, tuple[int, ...]], None]) -> None:
        """Call ``tile`` with a pixel and, counted from there, the first pixels of the registers of each tile."""
        k, lanes = self.k, self.k.lanes
        step = beside * lanes
        regular = self.width // step * step
        if regular:
            with k.loop(0, regular, step) as w:
                tile(w, tuple(range(0, step, lanes)))
        rest = list(range(regular, self.width - lanes + 1, lanes))
        if self.width % lanes:
            rest.append(self.width - lanes)
        for i in range(0, len(rest), beside):
            tile(0, tuple(rest[i : i + beside]))

    def _tile(self, r: _Rows, channels: range, first: int, waiting: Value, w: Index, offsets: tuple[int, ...]) -> None:
        """The results of some channels, ``first`` of them the number among those that wait."""
        sums = self._sums(r, channels, w, offsets)
        self._keep(r, first, sums, waiting, [self.k.add(w, offset) for offset in offsets])

    def _sums(self, r: _Rows, channels: range, w: Index, offsets: tuple[int, ...]) -> list[Value]:
        """Channel after channel, row after row, register after register."""
        k, s = self.k, self.s
        x, weights = k.at(k.arg("x"), s.x.offset(k, r.n, 0, r.h, w)), k.arg("filter")
        places = tuple(i * s.x.h + offset for i in range(r.height) for offset in offsets)
        biases = [k.load_broadcast(k.arg("bias"), c) if s.bias else k.v(0.0) for c in channels]
        sums = [bias for bias in biases for _ in places]

        def add(x: Value, weights: Value, sums: list[Value]) -> list[Value]:
            return self._add(x, places, weights, channels, sums)

        taps = s.tap_cols.count
        return over_taps(k, s, (x, weights), sums, taps if taps * len(sums) <= UNROLLED else 1, add)

    def _add(
        self, x: Value, places: tuple[int, ...], weights: Value, channels: range, sums: list[Value]
    ) -> list[Value]:
        """One tap."""
        k, f = self.k, self.filter
        keep_order(k)
        pixels = [k.load(x, place) for place in places]
        result = []
        for i, channel in enumerate(channels):
            tile, lane = divmod(channel, f.width)
            weight = k.load_broadcast(weights, tile * f.tile_stride + lane)
            own = sums[i * len(pixels) : (i + 1) * len(pixels)]
            result += [k.fma(pixel, weight, total) for pixel, total in zip(pixels, own, strict=True)]
        return result

    def _keep(self, r: _Rows, first: int, sums: list[Value], waiting: Value, columns: list[Index]) -> None:
        """Finish results and put them where they wait."""
        k, across = self.k, len(columns)
        size = r.height * across
        for i in range(len(sums) // size):
            values = [self._finished(value) for value in sums[i * size : (i + 1) * size]]
            if self.pool:
                values = [self._join(a, b) for a, b in zip(values[:across], values[across:], strict=True)]
            for j, value in enumerate(values):
                line, column = divmod(j, across)
                row = ((first + i) * (len(values) // across) + line) * self.width
                k.store(value, waiting, k.add(row, columns[column]))

    def _finished(self, value: Value) -> Value:
        expr = self.ends.expr
        return value if expr is None else emit_expression(self.k, expr, {0: value})

    def _join(self, a: Value, b: Value) -> Value:
        return self.k.maximum(a, b) if self.pool == "maxpool" else self.k.b.fadd(a, b)

    # -- to the blocked layout ---------------------------------------------------------------

    def _turn(self, r: _Rows, channels: range, waiting: Value, line: int, lines: int) -> None:
        """A line of pixels that wait, to vectors of channels."""
        k, lanes, s = self.k, self.k.lanes, self.s
        pixels = self.width // HALF if self.pool else self.width
        row = r.pair if self.pool else k.add(r.h, line)
        block = channels.start // lanes
        y = k.at(k.arg("y"), s.y.offset(k, r.n, block, row, 0))
        read = self._pooled if self.pool else k.load

        def turn(start: Index, new: range) -> None:
            rows = [
                read(waiting, k.add((i * lines + line) * self.width, self._place(start))) for i in range(len(channels))
            ]
            turned = transpose(k, [*rows, *[k.v(0.0)] * (lanes - len(rows))])
            for pixel in new:
                w = k.add(start, pixel)
                value = self.ends.epilogue.apply(k, turned[pixel], r.n, block, row, w)
                k.store(value, y, k.mul(w, s.y.w), align=4 * lanes)

        whole, rest = pixels // lanes * lanes, pixels % lanes
        if whole:
            with k.loop(0, whole, lanes) as start:
                turn(start, range(lanes))
            if rest:
                turn(pixels - lanes, range(lanes - rest, lanes))
        else:
            turn(0, range(rest))

    def _place(self, pixel: Index) -> Index:
        return self.k.mul(pixel, HALF) if self.pool else pixel

    def _pooled(self, waiting: Value, place: Index) -> Value:
        """A register of pooled pixels from two of pixels, whose rows are joined already."""
        k, lanes = self.k, self.k.lanes
        a, b = k.load(waiting, place), k.load(waiting, k.add(place, lanes))
        even, odd = (k.shuffle(a, b, range(start, 2 * lanes, 2)) for start in (0, 1))
        joined = self._join(even, odd)
        return joined if self.pool == "maxpool" else k.b.fmul(joined, k.v(1 / HALF**2))


@dataclass(frozen=True)
class _Rows:
    """Rows ``h`` to ``h + height`` of the results of sample ``n``, pair number ``pair``."""

    n: Index
    pair: Index
    h: Index
    height: int
