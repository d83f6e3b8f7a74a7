"""Gradients of filters: sums of outer products of result gradients and inputs over samples and pixels.

A tile holds ``vectors`` registers of result channels times some scalars of the input: channels of one block, seen
through neighbouring kernel positions where there are few of them. Every entry of the filter belongs to one thread,
and its sum runs over fixed chunks of pixels in order, so the bits don't depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from netdsl.plan.layout import Blocked
from netdsl_llvm.emit import I32, Index, Kernel, Value
from netdsl_llvm.kernels.access import Access
from netdsl_llvm.kernels.correlate import first_block
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.sliding import UNROLLED, Taps, by_vectors, for_part, keep_order
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.tiling import Split, pixel_limit
from netdsl_llvm.windows import Axis

# Bytes of gradients and inputs that one chunk reads again for every tile: about half of a second-level cache.
CHUNK_BYTES = 1 << 19


@dataclass(frozen=True)
class OuterSum:
    """Everything the code depends on: pixels of the gradient ``g``, and steps in ``g`` and in the input from one to
    the next. Pointers are the places of the first pixel and of its first kernel position.
    """

    filter: PackedFilter
    batch: int
    rows: int
    cols: int
    g: Access
    x: Access
    tap_rows: Taps
    tap_cols: Taps

    @staticmethod
    def of_axes(filter: PackedFilter, g: Blocked, x: Blocked, rows: Axis, cols: Axis) -> OuterSum:
        """The sum that a convolution's windows describe."""
        width = filter.kernel[1]
        return OuterSum(
            filter,
            g.batch,
            rows.count,
            cols.count,
            Access(g.n_stride, g.cb_stride, g.row_stride, g.block),
            Access(x.n_stride, x.cb_stride, rows.in_step * x.row_stride, cols.in_step * x.block),
            Taps(rows.taps, rows.tap_in * x.row_stride, width * filter.tap_stride),
            Taps(cols.taps, cols.tap_in * x.block, filter.tap_stride),
        )

    @property
    def key(self) -> str:
        f = self.filter
        return f"outer_{f.inputs}x{f.outputs}x{self.tap_rows.count}x{self.tap_cols.count}_{digest(self)}"

    def flattened(self) -> OuterSum:
        """The same with all pixels (of single pixels, all samples) in one row, where memory allows it."""
        s = self
        if s.rows > 1 and s.g.h == s.g.w * s.cols and s.x.h == s.x.w * s.cols:
            s = replace(s, rows=1, cols=s.rows * s.cols, g=replace(s.g, h=0), x=replace(s.x, h=0))
        if s.rows * s.cols == 1 and s.batch > 1:
            g, x = (replace(a, n=0, w=a.n) for a in (s.g, s.x))
            s = replace(s, batch=1, cols=s.batch, g=g, x=x)
        return s

    @property
    def chunks(self) -> tuple[int, int]:
        """Samples and rows of a chunk (all rows where it has more than one sample)."""
        row = 4 * self.cols * (self.filter.width + self.filter.block)
        rows = max(1, CHUNK_BYTES // row)
        return (min(self.batch, rows // self.rows), self.rows) if rows >= self.rows else (1, rows)

    @property
    def chunk_count(self) -> int:
        samples, rows = self.chunks
        return -(-self.batch // samples) * -(-self.rows // rows)

    def scalars(self, registers: int) -> tuple[Split, Split]:
        """How the kernel's columns and a block's channels are cut into tiles."""
        limit = pixel_limit(registers, self.filter.vectors)
        if self.filter.block > limit:
            return Split(self.tap_cols.count, self.tap_cols.count), Split(
                self.filter.block, -(-self.filter.block // limit)
            )
        taps = limit // self.filter.block
        return Split(self.tap_cols.count, -(-self.tap_cols.count // taps)), Split(self.filter.block, 1)

    @property
    def crosses_groups(self) -> bool:
        """Whether tiles hold entries between channels of different groups, which must stay zero."""
        f = self.filter
        aligned = (f.outputs // f.groups) % f.width == 0 and (f.inputs // f.groups) % f.block == 0
        return f.groups > 1 and not aligned


def build(k: Kernel, s: OuterSum) -> None:
    """The kernel's body; arguments ``g``, ``x`` and ``filter``."""
    _Builder(k, s).build()


@dataclass(frozen=True)
class _Tile:
    """A register tile under construction: where it lies in the filter and which scalars it takes."""

    vectors: int
    filter_tile: Index
    block: Index
    tap_row: Index
    tap_col: Index
    taps: int
    channel: Index
    channels: int


@dataclass(frozen=True)
class _Chunk:
    """Samples and rows summed over."""

    n: tuple[Index, Index]
    h: tuple[Index, Index]


@dataclass
class _Builder:
    k: Kernel
    s: OuterSum

    def build(self) -> None:
        """Chunks outside, so that what a chunk reads stays in the cache over all tiles of a thread."""
        k, s = self.k, self.s
        samples, rows = s.chunks
        if s.chunk_count == 1:
            self._for_each_tile(lambda t: self._sum(t, _Chunk((0, s.batch), (0, s.rows))))
            return
        self._for_each_tile(self._clear)
        with k.loop(0, s.batch, samples) as n, k.loop(0, s.rows, rows) as h:
            chunk = _Chunk((n, k.min(k.add(n, samples), s.batch)), (h, k.min(k.add(h, rows), s.rows)))
            self._for_each_tile(lambda t: self._sum(t, chunk))

    def _for_each_tile(self, emit: Callable[[_Tile], None]) -> None:
        """This thread's tiles; the innermost ones share the gradient and the input block."""
        k, s = self.k, self.s
        taps, channels = s.scalars(k.target.registers)
        sizes = (s.filter.span, s.tap_rows.count, taps.parts, channels.parts)
        begin, end = k.share(s.filter.tiles * sizes[0] * sizes[1] * sizes[2] * sizes[3])
        rest = s.filter.output_vectors % s.filter.vectors
        with k.loop(begin, end) as item:
            tile, block, row, tap_part, channel_part = k.split(item, *sizes)

            def scalars(vectors: int) -> None:
                def columns(first: Index, count: int) -> None:
                    for_part(
                        k,
                        channels,
                        channel_part,
                        lambda c, size: emit(_Tile(vectors, tile, block, row, first, count, c, size)),
                    )

                for_part(k, taps, tap_part, columns)

            by_vectors(k, k.compare("<", tile, s.filter.tiles - 1), (s.filter.vectors, rest), scalars)

    # -- one tile --------------------------------------------------------------------------

    def _clear(self, t: _Tile) -> None:
        self._store(t, [self.k.v(0.0)] * (t.taps * t.channels * t.vectors))

    def _sum(self, t: _Tile, chunk: _Chunk) -> None:
        k, s = self.k, self.s
        g = k.at(k.arg("g"), k.mul(t.filter_tile, s.filter.vectors, s.g.cb))
        taps = k.add(k.mul(t.tap_row, s.tap_rows.x), k.mul(t.tap_col, s.tap_cols.x))
        block = k.mul(k.add(self._first_block(t.filter_tile), t.block), s.x.cb)
        x = k.at(k.arg("x"), k.add(block, taps, t.channel))
        sums = [k.v(0.0)] * (t.taps * t.channels * t.vectors)
        with k.carried_loop(*chunk.n, sums) as samples:
            with k.carried_loop(*chunk.h, samples.carried) as rows:
                g_row = k.at(g, s.g.offset(k, samples.index, 0, rows.index, 0))
                x_row = k.at(x, s.x.offset(k, samples.index, 0, rows.index, 0))
                rows.carry(self._sum_row(t, g_row, x_row, rows.carried))
            samples.carry(rows.results)
        sums = samples.results
        if s.chunk_count > 1:
            earlier = [k.load(k.arg("filter"), place, align=4 * k.lanes) for place in self._places(t)]
            sums = [k.b.fadd(a, b) for a, b in zip(earlier, sums, strict=True)]
        self._store(t, sums)

    def _sum_row(self, t: _Tile, g: Value, x: Value, sums: Sequence[Value]) -> list[Value]:
        k, s = self.k, self.s
        step = unrolled_step(s.cols, UNROLLED // len(sums))
        whole = s.cols // step * step
        with k.carried_loop(0, whole, sums, step) as loop:
            sums = loop.carried
            for pixel in range(step):
                sums = self._sum_pixel(t, g, x, k.add(loop.index, pixel), sums)
            loop.carry(sums)
        sums = loop.results
        for pixel in range(whole, s.cols):
            sums = self._sum_pixel(t, g, x, pixel, sums)
        return list(sums)

    def _sum_pixel(self, t: _Tile, g: Value, x: Value, pixel: Index, sums: Sequence[Value]) -> list[Value]:
        k, s = self.k, self.s
        keep_order(k)
        g, x = k.at(g, k.mul(pixel, s.g.w)), k.at(x, k.mul(pixel, s.x.w))
        gradients = [k.load(g, v * s.g.cb, align=4 * k.lanes) for v in range(t.vectors)]
        result, position = list(sums), 0
        for tap in range(t.taps):
            for channel in range(t.channels):
                scalar = k.load_broadcast(x, tap * s.tap_cols.x + channel)
                for gradient in gradients:
                    result[position] = k.fma(scalar, gradient, sums[position])
                    position += 1
        return result

    # -- result ----------------------------------------------------------------------------

    def _store(self, t: _Tile, sums: Sequence[Value]) -> None:
        """Write the tile's sums, and zeros where the filter has registers without channels."""
        k = self.k
        for place, value in zip(self._places(t), self._kept(t, sums), strict=True):
            k.store(value, k.arg("filter"), place, align=4 * k.lanes)
        unused = range(t.vectors, self.s.filter.vectors)
        if unused:
            for place in self._places(t)[:: t.vectors]:
                for v in unused:
                    k.store(k.v(0.0), k.arg("filter"), k.add(place, v * k.lanes), align=4 * k.lanes)

    def _places(self, t: _Tile) -> list[Index]:
        """Offsets in the filter, in the order of the sums: kernel column, channel, register."""
        k, s = self.k, self.s
        first = k.add(
            k.mul(t.filter_tile, s.filter.tile_stride),
            k.mul(t.block, s.filter.block_stride),
            k.mul(t.tap_row, s.tap_rows.filter),
            k.mul(t.tap_col, s.tap_cols.filter),
            k.mul(t.channel, s.filter.width),
        )
        return [
            k.add(first, tap * s.tap_cols.filter + channel * s.filter.width + v * k.lanes)
            for tap in range(t.taps)
            for channel in range(t.channels)
            for v in range(t.vectors)
        ]

    def _kept(self, t: _Tile, sums: Sequence[Value]) -> Sequence[Value]:
        """The sums, zero between channels of different groups."""
        if not self.s.crosses_groups:
            return sums
        k, f = self.k, self.s.filter
        output_groups = [self._group_of_lanes(t, v) for v in range(t.vectors)]
        block = k.add(self._first_block(t.filter_tile), t.block)
        kept, values = [], iter(sums)
        for _ in range(t.taps):
            for channel in range(t.channels):
                number = k.add(k.mul(block, f.block), t.channel, channel)
                group = k.b.trunc(k.i(k.div(number, f.inputs // f.groups)), I32)
                for outputs in output_groups:
                    same = k.b.icmp_signed("==", outputs, k.splat(group))
                    kept.append(k.b.select(same, next(values), k.v(0.0)))
        return kept

    def _group_of_lanes(self, t: _Tile, vector: int) -> Value:
        k, f = self.k, self.s.filter
        first = k.b.trunc(k.i(k.add(k.mul(t.filter_tile, f.width), vector * k.lanes)), I32)
        channels = k.b.add(k.splat(first), k.iota())
        return k.b.udiv(channels, k.iv(f.outputs // f.groups))

    def _first_block(self, tile: Index) -> Index:
        return first_block(self.k, self.s.filter, tile)


def unrolled_step(count: int, limit: int) -> int:
    """How many of ``count`` rounds to unroll: at most ``limit``; fewer, but over half of it, if none is left then."""
    limit = max(1, min(count, limit))
    exact = max(step for step in range(1, limit + 1) if count % step == 0)
    return exact if 2 * exact > limit else limit
