"""The dense inner loop of all convolutions and fully connected layers, forward and backward to the input.

A tile of ``vectors`` registers of result channels times ``height x width`` pixels is accumulated in registers over all
input channels and kernel positions: one multiply-add an input value (broadcast) and register of weights. Steps from
pixel to pixel and from tap to tap are part of the code; the numbers of channels and all longer strides are arguments,
so that layers over equal maps share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.tiling import PixelTiles, Split, cut, pixel_limit
from netdsl_llvm.windows import Axis

# Multiply-adds emitted in a row before the loop over channels closes: long enough to hide its counting.
UNROLLED = 128


@dataclass(frozen=True)
class Taps:
    """Kernel positions along one axis: how many, and the elements from one to the next in the input and the filter."""

    count: int
    x: int
    filter: int


@dataclass(frozen=True)
class Correlation:
    """What is summed where, but for the epilogue.

    ``x`` and ``y`` give the elements from one result pixel to the next in the input and in the result. Pointers are
    handed in as the places of the first result pixel, of the first tap's input pixel, and of the first tap's weights.
    """

    filter: PackedFilter
    batch: int
    rows: int
    cols: int
    x: Access
    y: Access
    tap_rows: Taps
    tap_cols: Taps
    bias: bool

    @staticmethod
    def of_axes(filter: PackedFilter, x: Blocked, y: Blocked, rows: Axis, cols: Axis, bias: bool) -> Correlation:
        """The correlation that one pair of axes describes."""
        kernel_width = filter.kernel[1]
        return Correlation(
            filter,
            y.batch,
            rows.count,
            cols.count,
            Access(x.n_stride, x.cb_stride, rows.in_step * x.row_stride, cols.in_step * x.block),
            Access(y.n_stride, y.cb_stride, rows.out_step * y.row_stride, cols.out_step * y.block),
            Taps(rows.taps, rows.tap_in * x.row_stride, rows.tap_step * kernel_width * filter.tap_stride),
            Taps(cols.taps, cols.tap_in * x.block, cols.tap_step * filter.tap_stride),
            bias,
        )

    @property
    def code(self) -> Correlation:
        """A stand-in that has the same code: as few channels as have it, and no strides that are arguments."""
        f = self.filter
        if f.groups == 1:
            rest, tail = f.output_vectors % f.vectors, f.inputs % f.block
            outputs = f.width + rest * f.lanes
            inputs = tail + (f.block if f.inputs >= f.block else 0)
            f = replace(f, outputs=outputs, inputs=inputs, kernel=(f.taps,), transposed=False)
        return replace(self, filter=f, x=replace(self.x, n=0, cb=0), y=replace(self.y, n=0, cb=0))

    @property
    def key(self) -> str:
        c = self.code
        size = f"{c.tap_rows.count}x{c.tap_cols.count}_{c.rows}x{c.cols}"
        return f"correlate_{size}_{digest(c)}"

    @property
    def arguments(self) -> dict[str, Index]:
        """The numbers that the code gets as arguments."""
        f = self.filter
        strides = {"x_n": self.x.n, "x_cb": self.x.cb, "y_n": self.y.n, "y_cb": self.y.cb}
        whole = f.span - (1 if f.groups == 1 and f.inputs % f.block else 0)
        return {"filter_tiles": f.tiles, "tile_stride": f.tile_stride, "whole_blocks": whole, **strides}

    def tiles(self, registers: int, vectors: int) -> PixelTiles:
        return cut(self.rows, self.cols, pixel_limit(registers, vectors))


def flattened(c: Correlation, epilogue: Epilogue) -> tuple[Correlation, Epilogue]:
    """The same with all pixels (and for single pixels, all samples) in one column, where memory allows it."""
    accesses = (c.x, c.y, *epilogue.accesses)
    if c.cols > 1 and all(a.h == a.w * c.cols for a in accesses):
        c, epilogue = _restride(c, epilogue, c.batch, c.rows * c.cols, lambda a: replace(a, h=a.w, w=0))
    if c.rows * c.cols == 1 and c.batch > 1:
        c, epilogue = _restride(c, epilogue, 1, c.batch, lambda a: replace(a, n=0, h=a.n, w=0))
    return c, epilogue


def _restride(
    c: Correlation, epilogue: Epilogue, batch: int, rows: int, change: Callable[[Access], Access]
) -> tuple[Correlation, Epilogue]:
    changed = replace(c, batch=batch, rows=rows, cols=1, x=change(c.x), y=change(c.y))
    return changed, replace(epilogue, accesses=tuple(map(change, epilogue.accesses)))


def call(run: RunBuilder, correlation: Correlation, epilogue: Epilogue, places: Mapping[str, View | Value]) -> None:
    """Call the kernel; ``places`` are ``x``, ``filter``, ``y``, ``bias`` (if any) and the epilogue's operands."""
    c, shared = correlation.code, epilogue
    integers = correlation.arguments
    for index, access in enumerate(epilogue.accesses):
        integers |= {f"e{index}_n": access.n, f"e{index}_cb": access.cb}
    stripped = tuple(replace(access, n=0, cb=0) for access in epilogue.accesses)
    shared = replace(epilogue, accesses=stripped, channels=epilogue.channels if epilogue.masks else 0)
    run.call(correlation.key + shared.key, lambda k: _build(k, c, shared), places, integers)


def _build(k: Kernel, c: Correlation, epilogue: Epilogue) -> None:
    accesses = tuple(
        replace(access, n=k.arg(f"e{index}_n"), cb=k.arg(f"e{index}_cb"))
        for index, access in enumerate(epilogue.accesses)
    )
    x, y = (replace(a, n=k.arg(f"{name}_n"), cb=k.arg(f"{name}_cb")) for name, a in (("x", c.x), ("y", c.y)))
    _Builder(k, replace(c, x=x, y=y), replace(epilogue, accesses=accesses)).build()


@dataclass
class _Builder:
    k: Kernel
    c: Correlation
    epilogue: Epilogue

    def build(self) -> None:
        """Work items are (filter tile, sample, row of pixel tiles): weights stay in the cache over all pixels."""
        k, c = self.k, self.c
        vectors, rest = c.filter.vectors, c.filter.output_vectors % c.filter.vectors
        tiles = c.tiles(k.target.registers, vectors)
        begin, end = k.share(k.mul(k.arg("filter_tiles"), c.batch * tiles.rows.parts))
        with k.loop(begin, end) as item:
            tile, n, row = k.split(item, c.batch, tiles.rows.parts)
            by_vectors(
                k,
                k.compare("<", tile, k.sub(k.arg("filter_tiles"), 1)),
                (vectors, rest),
                lambda count: self._row_of_tiles(tiles, count, tile, n, row),
            )

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
        k, c = self.k, self.c
        block = first_block(k, c.filter, t.filter_tile)
        x = k.at(k.arg("x"), c.x.offset(k, t.n, block, t.h, t.w))
        weights = k.at(k.arg("filter"), k.mul(t.filter_tile, k.arg("tile_stride")))
        offsets = [i * c.x.h + j * c.x.w for i in range(t.height) for j in range(t.width)]
        sums = self._start(t)
        if c.tap_rows.count * c.tap_cols.count:
            sums = self._sum_blocks(x, weights, offsets, sums, t.vectors)
        self._store(t, sums)

    def _start(self, t: _Tile) -> list[Value]:
        k = self.k
        pixels = t.height * t.width
        if not self.c.bias:
            return [k.v(0.0)] * (t.vectors * pixels)
        first = k.mul(t.filter_tile, self.c.filter.width)
        biases = [k.load(k.arg("bias"), k.add(first, v * k.lanes), align=4 * k.lanes) for v in range(t.vectors)]
        return [bias for bias in biases for _ in range(pixels)]

    # -- accumulation ----------------------------------------------------------------------

    def _sum_blocks(
        self, x: Value, weights: Value, offsets: Sequence[int], sums: list[Value], vectors: int
    ) -> list[Value]:
        """Over input blocks; the channels of the last one end where the input does."""
        k, f = self.k, self.c.filter
        rest = f.inputs % f.block if f.groups == 1 else 0
        whole = k.arg("whole_blocks")
        if f.inputs >= f.block:
            with k.carried_loop(0, whole, sums) as loop:
                loop.carry(self._sum_taps(x, weights, loop.index, f.block, offsets, loop.carried, vectors))
            sums = loop.results
        if rest:
            sums = self._sum_taps(x, weights, whole, rest, offsets, sums, vectors)
        return sums

    def _sum_taps(
        self,
        x: Value,
        weights: Value,
        block: Index,
        channels: int,
        offsets: Sequence[int],
        sums: list[Value],
        vectors: int,
    ) -> list[Value]:
        k, c = self.k, self.c
        x = k.at(x, k.mul(block, c.x.cb))
        weights = k.at(weights, k.mul(block, c.filter.block_stride))
        unrolled = c.tap_cols.count * channels * len(sums) <= UNROLLED
        with k.carried_loop(0, c.tap_rows.count, sums) as rows:
            row_x = k.at(x, k.mul(rows.index, c.tap_rows.x))
            row_weights = k.at(weights, k.mul(rows.index, c.tap_rows.filter))
            sums = rows.carried
            step = c.tap_cols.count if unrolled else 1
            with k.carried_loop(0, c.tap_cols.count, sums, step) as cols:
                sums = cols.carried
                for tap in range(step):
                    tap_x = k.at(row_x, k.mul(k.add(cols.index, tap), c.tap_cols.x))
                    tap_weights = k.at(row_weights, k.mul(k.add(cols.index, tap), c.tap_cols.filter))
                    sums = self._sum_channels(tap_x, tap_weights, channels, offsets, sums, vectors)
                cols.carry(sums)
            rows.carry(cols.results)
        return rows.results

    def _sum_channels(
        self,
        x: Value,
        weights: Value,
        channels: int,
        offsets: Sequence[int],
        sums: list[Value],
        vectors: int,
    ) -> list[Value]:
        step = max(s for s in range(1, channels + 1) if channels % s == 0 and (s == 1 or s * len(sums) <= UNROLLED))
        with self.k.carried_loop(0, channels, sums, step) as loop:
            sums = loop.carried
            for channel in range(step):
                sums = self._sum_channel(x, weights, self.k.add(loop.index, channel), offsets, sums, vectors)
            loop.carry(sums)
        return loop.results

    def _sum_channel(
        self,
        x: Value,
        weights: Value,
        channel: Index,
        offsets: Sequence[int],
        sums: Sequence[Value],
        vectors: int,
    ) -> list[Value]:
        k = self.k
        row = k.mul(channel, self.c.filter.width)
        registers = [k.load(weights, k.add(row, v * k.lanes), align=4 * k.lanes) for v in range(vectors)]
        pixels, result = len(offsets), list(sums)
        keep_order(k)
        for p, offset in enumerate(offsets):
            pixel = k.load_broadcast(x, k.add(channel, offset))
            for v, register in enumerate(registers):
                result[v * pixels + p] = k.fma(pixel, register, sums[v * pixels + p])
        return result

    # -- result ----------------------------------------------------------------------------

    def _store(self, t: _Tile, sums: Sequence[Value]) -> None:
        k, c = self.k, self.c
        values = iter(sums)
        for v in range(t.vectors):
            block = k.add(k.mul(t.filter_tile, c.filter.vectors), v)
            for i in range(t.height):
                for j in range(t.width):
                    h, w = k.add(t.h, i), k.add(t.w, j)
                    value = self.epilogue.apply(k, next(values), t.n, block, h, w)
                    k.store(value, k.arg("y"), c.y.offset(k, t.n, block, h, w), align=4 * k.lanes)


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


def first_block(k: Kernel, filter: PackedFilter, tile: Index) -> Index:
    """As `PackedFilter.first_block`, of a tile known when the code runs."""
    if filter.groups == 1:
        return 0
    group = k.div(k.mul(tile, filter.width), filter.outputs // filter.groups)
    wanted = k.div(k.mul(group, filter.inputs // filter.groups), filter.block)
    return k.min(wanted, filter.input_blocks - filter.span)


def by_vectors(k: Kernel, full: Value, counts: tuple[int, int], emit: Callable[[int], None]) -> None:
    """Emit a tile's work for its registers: ``counts`` are those of a full tile, and of the last if it has fewer."""
    vectors, rest = counts
    if rest == 0:
        emit(vectors)
        return
    with k.either(full) as (whole, partial):
        with whole:
            emit(vectors)
        with partial:
            emit(rest)


def keep_order(k: Kernel) -> None:
    """Loads stay on this side: LLVM's scheduler would move those of many channels ahead, out of registers.

    A fence within one thread costs no instruction.
    """
    k.b.fence("seq_cst", "singlethread")


def for_part(k: Kernel, split: Split, part: Index, emit: Callable[[Index, int], None]) -> None:
    """Emit the work on part number ``part`` of a split: ``emit(start, length)`` for each of the two lengths."""
    start = k.add(k.mul(part, split.base), k.min(part, split.longer))
    if split.longer == 0:
        emit(start, split.base)
        return
    with k.either(k.compare("<", part, split.longer)) as (long, short):
        with long:
            emit(start, split.base + 1)
        with short:
            emit(start, split.base)
