"""The dense inner loop of all convolutions and fully connected layers, forward and backward to the input.

A tile of ``vectors`` registers of result channels times ``height x width`` pixels is accumulated in registers over all
input channels and kernel positions: one multiply-add an input value (broadcast) and register of weights. Steps from
pixel to pixel and from tap to tap are part of the code; the numbers of channels and all longer strides are arguments,
so that layers over equal maps share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netdsl.plan.plan import View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.sliding import (
    UNROLLED,
    Sliding,
    by_vectors,
    flattened,
    for_part,
    keep_order,
    over_taps,
    stride_arguments,
    with_strides,
    without_strides,
)
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.ordering import Order, best_order
from netdsl_llvm.tiling import CACHE_LINE, PixelTiles, Split, cut, pixel_limit

STREAM_DISTANCE = 1024
"""Elements from the weights in use to those that a single pixel fetches."""


def call(
    run: RunBuilder, filter: PackedFilter, sliding: Sliding, epilogue: Epilogue, places: Mapping[str, View | Value]
) -> None:
    """Call the kernel; ``places`` are ``x``, ``filter``, ``y``, ``bias`` (if any) and the epilogue's operands."""
    sliding, epilogue = flattened(sliding, epilogue)
    whole = filter.span - (1 if _tail(filter) else 0)
    integers: dict[str, Index] = {
        "filter_tiles": filter.tiles, "tile_stride": filter.tile_stride, "whole_blocks": whole,
    }  # fmt: skip
    integers |= stride_arguments(sliding, epilogue)
    shape, shared = without_strides(sliding, epilogue)
    f, order = _smallest(filter), _order(run, filter, sliding)
    key = f"correlate_{shape.title}_{digest((f, order, shape))}{shared.key}"
    run.call(key, lambda k: _Builder(k, f, order, *with_strides(k, shape, shared)).build(), places, integers)


def _order(run: RunBuilder, f: PackedFilter, s: Sliding) -> Order:
    rows = cut(s.rows, s.cols, pixel_limit(run.target.registers, f.vectors)).rows.parts
    sample = 4 * max(s.x.cb * f.input_blocks, s.x.h * s.rows)
    weights = 4 * f.tiles * f.span * s.tap_rows.count * s.tap_cols.count * f.tap_stride
    return best_order(sample, weights, s.batch, f.tiles, rows)


def _tail(f: PackedFilter) -> int:
    """Channels of the last input block where it is partial. Tiles of grouped filters sum over whole blocks."""
    return f.inputs % f.block if f.groups == 1 else 0


def _smallest(f: PackedFilter) -> PackedFilter:
    """The filter with the fewest channels that has the same code."""
    if f.groups > 1:
        return f
    outputs, inputs = f.fewest(f.block)
    return replace(f, outputs=outputs, inputs=inputs, kernel=(f.taps,), transposed=False)


@dataclass
class _Builder:
    k: Kernel
    filter: PackedFilter
    order: Order
    s: Sliding
    epilogue: Epilogue

    def build(self) -> None:
        """Work items are filter tile, sample and row of pixel tiles, in the order that suits the caches."""
        k, f, s = self.k, self.filter, self.s
        vectors, rest = f.vectors, f.output_vectors % f.vectors
        tiles = cut(s.rows, s.cols, pixel_limit(k.target.registers, vectors))
        begin, end = k.share(k.mul(k.arg("filter_tiles"), s.batch * tiles.rows.parts))
        with k.loop(begin, end) as item:
            tile, n, row = self._work_item(item, tiles.rows.parts)
            by_vectors(
                k,
                k.compare("<", tile, k.sub(k.arg("filter_tiles"), 1)),
                (vectors, rest),
                lambda count: self._row_of_tiles(tiles, count, tile, n, row),
            )

    def _work_item(self, item: Index, rows: int) -> tuple[Index, Index, Index]:
        """Filter tile, sample and row of tiles of a work item."""
        k, filter_tiles = self.k, self.k.arg("filter_tiles")
        match self.order:
            case Order.ROWS_LAST:
                tile, n, row = k.split(item, self.s.batch, rows)
            case Order.SAMPLES_FIRST:
                n, tile, row = k.split(item, filter_tiles, rows)
            case Order.TILES_LAST:
                n, row, tile = k.split(item, rows, filter_tiles)
        return tile, n, row

    def _row_of_tiles(self, tiles: PixelTiles, vectors: int, tile: Index, n: Index, row: Index) -> None:
        for_part(
            self.k,
            tiles.rows,
            row,
            lambda h, height: self._columns(tiles.cols, vectors, tile, n, h, height),
        )

    def _columns(self, cols: Split, vectors: int, tile: Index, n: Index, h: Index, height: int) -> None:
        for start, width, count in cols.pieces:
            with self.k.loop(start, start + width * count, width) as w:
                self._tile(_Tile(vectors, height, width, tile, n, h, w))

    def _tile(self, t: _Tile) -> None:
        k, f, s = self.k, self.filter, self.s
        block = first_block(k, f, t.filter_tile)
        x = k.at(k.arg("x"), s.x.offset(k, t.n, block, t.h, t.w))
        weights = k.at(k.arg("filter"), k.mul(t.filter_tile, k.arg("tile_stride")))
        offsets = tuple(i * s.x.h + j * s.x.w for i in range(t.height) for j in range(t.width))
        sums = self._start(t)
        if s.tap_rows.count * s.tap_cols.count:
            ahead = self._ahead(t)
            sums = Accumulation(k, f, s, t.vectors, offsets, k.arg("whole_blocks"), ahead).over_blocks(x, weights, sums)
        self._store(t, sums)

    def _ahead(self, t: _Tile) -> Ahead | None:
        """The tile's share of the next filter tile, where all pixels of an image are done before it."""
        if self.order is Order.TILES_LAST:
            return None
        k, s = self.k, self.s
        first = k.add(k.mul(t.h, s.cols), t.w)
        return Ahead.share(k, self.filter, k.arg("tile_stride"), first, t.height * t.width, s.rows * s.cols)

    def _start(self, t: _Tile) -> list[Value]:
        k = self.k
        pixels = t.height * t.width
        if not self.s.bias:
            return [k.v(0.0)] * (t.vectors * pixels)
        first = k.mul(t.filter_tile, self.filter.width)
        biases = [k.load(k.arg("bias"), k.add(first, v * k.lanes), align=4 * k.lanes) for v in range(t.vectors)]
        return [bias for bias in biases for _ in range(pixels)]

    def _store(self, t: _Tile, sums: Sequence[Value]) -> None:
        k, f, s = self.k, self.filter, self.s
        values = iter(sums)
        for v in range(t.vectors):
            block = k.add(k.mul(t.filter_tile, f.vectors), v)
            for i in range(t.height):
                for j in range(t.width):
                    h, w = k.add(t.h, i), k.add(t.w, j)
                    value = self.epilogue.apply(k, next(values), t.n, block, h, w)
                    k.store(value, k.arg("y"), s.y.offset(k, t.n, block, h, w), align=4 * k.lanes)


@dataclass(frozen=True)
class _Tile:
    """A register tile under construction: its extents, and where it lies."""

    vectors: int
    height: int
    width: int
    filter_tile: Index
    n: Index
    h: Index
    w: Index


@dataclass(frozen=True)
class Ahead:
    """Weights that are used later, fetched while others are summed over: ``lines`` of them for each block and tap,
    from ``offset`` elements after those in use, into the cache of this ``level``.
    """

    offset: Index
    lines: int
    level: int

    @staticmethod
    def share(k: Kernel, filter: PackedFilter, distance: Index, first: Index, count: int, pixels: int) -> Ahead | None:
        """What ``count`` of so many pixels fetch, from number ``first`` on, of the next weights, ``distance`` away.

        Weights are read from memory once, all by the first of the pixel tiles that use them, at many times the rate
        memory has; while the other tiles find them in a cache, it would have nothing to do. Single pixels fetch what
        they use themselves a little later: it comes faster than when hardware alone sees the stream. None where
        weights are few beside the work on them.
        """
        lines = filter.tap_stride // CACHE_LINE
        if pixels == 1:
            return Ahead(STREAM_DISTANCE, lines, level=1)
        if not count < pixels <= count * lines:
            return None
        start = k.div(k.mul(first, lines), pixels)
        return Ahead(k.add(distance, k.mul(start, CACHE_LINE)), -(-lines * count // pixels), level=2)

    def fetch(self, k: Kernel, weights: Value, lines: range, first: Index = 0) -> None:
        """Fetch these of the lines, counted from number ``first``."""
        start = k.add(self.offset, k.mul(first, CACHE_LINE))
        for line in lines:
            k.fetch_ahead(weights, k.add(start, line * CACHE_LINE), self.level)


@dataclass(frozen=True)
class Accumulation:
    """The sums of one tile: ``vectors`` registers of pixels at ``offsets`` from the first, register after register.

    ``whole`` counts the input blocks that are full.
    """

    k: Kernel
    filter: PackedFilter
    s: Sliding
    vectors: int
    offsets: tuple[int, ...]
    whole: Index
    ahead: Ahead | None = None

    def over_blocks(self, x: Value, weights: Value, sums: list[Value]) -> list[Value]:
        """Over all input blocks; the channels of the last one end where the input does."""
        k, f = self.k, self.filter
        tail = _tail(f)
        if f.inputs >= f.block:
            with k.carried_loop(0, self.whole, sums) as loop:
                loop.carry(self._over_taps(*self._at_block(x, weights, loop.index), f.block, loop.carried))
            sums = loop.results
        if tail:
            sums = self._over_taps(*self._at_block(x, weights, self.whole), tail, sums)
        return sums

    def _at_block(self, x: Value, weights: Value, block: Index) -> tuple[Value, Value]:
        k = self.k
        return k.at(x, k.mul(block, self.s.x.cb)), k.at(weights, k.mul(block, self.filter.block_stride))

    def _over_taps(self, x: Value, weights: Value, channels: int, sums: list[Value]) -> list[Value]:
        def add(x: Value, weights: Value, sums: list[Value]) -> list[Value]:
            return self._over_channels(x, weights, channels, sums)

        taps = self.s.tap_cols.count
        unrolled = taps * channels * len(sums) <= UNROLLED
        return over_taps(self.k, self.s, (x, weights), sums, taps if unrolled else 1, add)

    def _over_channels(self, x: Value, weights: Value, channels: int, sums: list[Value]) -> list[Value]:
        k, ahead = self.k, self.ahead
        fitting = [s for s in range(1, channels + 1) if channels % s == 0 and s * len(sums) <= UNROLLED]
        step = max(fitting, default=1)
        lines = ahead.lines * step // channels if ahead is not None else 0  # in a round of the loop
        if ahead is not None:
            ahead.fetch(k, weights, range(lines * (channels // step), ahead.lines))
        with k.carried_loop(0, channels, sums, step) as loop:
            sums = loop.carried
            for channel in range(step):
                sums = self._add_channel(x, weights, k.add(loop.index, channel), sums)
                if ahead is not None and lines:
                    part = range(lines * channel // step, lines * (channel + 1) // step)
                    ahead.fetch(k, weights, part, k.mul(k.div(loop.index, step), lines))
            loop.carry(sums)
        return loop.results

    def _add_channel(self, x: Value, weights: Value, channel: Index, sums: list[Value]) -> list[Value]:
        k, pixels = self.k, len(self.offsets)
        row = k.mul(channel, self.filter.width)
        registers = [k.load(weights, k.add(row, v * k.lanes), align=4 * k.lanes) for v in range(self.vectors)]
        result = list(sums)
        keep_order(k)
        for p, offset in enumerate(self.offsets):
            pixel = k.load_broadcast(x, k.add(channel, offset))
            for v, register in enumerate(registers):
                result[v * pixels + p] = k.fma(pixel, register, sums[v * pixels + p])
        return result


def first_block(k: Kernel, filter: PackedFilter, tile: Index) -> Index:
    """As `PackedFilter.first_block`, of a tile known when the code runs."""
    if filter.groups == 1:
        return 0
    group = k.div(k.mul(tile, filter.width), filter.outputs // filter.groups)
    wanted = k.div(k.mul(group, filter.inputs // filter.groups), filter.block)
    return k.min(wanted, filter.input_blocks - filter.span)
