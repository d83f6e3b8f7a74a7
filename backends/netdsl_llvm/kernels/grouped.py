"""Convolutions of small groups: lanes hold the results of several groups, and inputs are moved to their lanes.

For each channel c of a group, one shuffle of the input's register puts channel c of every group into all lanes of that
group; in a depthwise convolution there is nothing to move. A shuffled input pixel serves all kernel columns that see
it. A tile is one register of channels times up to two dozen pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netdsl.plan.plan import View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.sliding import (
    Sliding,
    for_part,
    keep_order,
    stride_arguments,
    with_strides,
    without_strides,
)
from netdsl_llvm.layouts import GroupedFilter
from netdsl_llvm.tiling import Split, cut


def call(
    run: RunBuilder, filter: GroupedFilter, sliding: Sliding, epilogue: Epilogue, places: Mapping[str, View | Value]
) -> None:
    """Call the kernel; ``places`` are ``x``, ``filter``, ``y``, ``bias`` (if any) and the epilogue's operands."""
    integers: dict[str, Index] = {"vectors": filter.vectors, "vector_stride": filter.vector_stride}
    integers |= stride_arguments(sliding, epilogue)
    shape, shared = without_strides(sliding, epilogue)
    f = replace(filter, channels=filter.lanes, kernel=(filter.taps,), transposed=False)
    key = f"grouped_{shape.title}_{digest((f, shape))}{shared.key}"
    run.call(key, lambda k: _Builder(k, f, *with_strides(k, shape, shared)).build(), places, integers)


@dataclass(frozen=True)
class _Tile:
    """Results under construction: a register of channels, and where its pixels start."""

    height: int
    width: int
    vector: Index
    n: Index
    h: Index
    w: Index


@dataclass
class _Builder:
    k: Kernel
    filter: GroupedFilter
    s: Sliding
    epilogue: Epilogue

    def build(self) -> None:
        """Work items are (register of channels, sample, row of pixel tiles)."""
        k, s = self.k, self.s
        tiles = cut(s.rows, s.cols, self._pixel_limit())
        begin, end = k.share(k.mul(k.arg("vectors"), s.batch * tiles.rows.parts))
        with k.loop(begin, end) as item:
            vector, n, row = k.split(item, s.batch, tiles.rows.parts)
            for_part(k, tiles.rows, row, lambda h, height: self._columns(tiles.cols, vector, n, h, height))

    def _pixel_limit(self) -> int:
        """Registers that are left for sums beside a row of weights (if they are few), an input and a shuffle."""
        weights = self.s.tap_cols.count
        return max(4, self.k.target.registers - (weights if weights <= 5 else 1) - 3)

    def _columns(self, cols: Split, vector: Index, n: Index, h: Index, height: int) -> None:
        for start, width, count in cols.pieces:
            with self.k.loop(start, start + width * count, width) as w:
                self._tile(_Tile(height, width, vector, n, h, w))

    def _tile(self, t: _Tile) -> None:
        k, s = self.k, self.s
        x = k.at(k.arg("x"), s.x.offset(k, t.n, t.vector, t.h, t.w))
        weights = k.at(k.arg("filter"), k.mul(t.vector, k.arg("vector_stride")))
        first = k.v(0.0)
        if s.bias:
            first = k.load(k.arg("bias"), k.mul(t.vector, k.lanes), align=4 * k.lanes)
        sums = [first] * (t.height * t.width)
        if s.tap_rows.count * s.tap_cols.count:
            with k.carried_loop(0, s.tap_rows.count, sums) as rows:
                row_x = k.at(x, k.mul(rows.index, s.tap_rows.x))
                row_weights = k.at(weights, k.mul(rows.index, s.tap_rows.filter))
                rows.carry(self._sum_row(t, row_x, row_weights, rows.carried))
            sums = rows.results
        self._store(t, sums)

    def _sum_row(self, t: _Tile, x: Value, weights: Value, sums: Sequence[Value]) -> list[Value]:
        """All channels and columns of one kernel row; every input pixel is loaded and shuffled once a channel."""
        k, s = self.k, self.s
        readers = self._readers(t)
        result = list(sums)
        for channel in range(self.filter.group):
            keep_order(k)
            registers = [
                k.load(weights, column * s.tap_cols.filter + channel * k.lanes, align=4 * k.lanes)
                for column in range(s.tap_cols.count)
            ]
            for place, uses in readers.items():
                pixel = self._spread(k.load(x, place, align=4 * k.lanes), channel)
                for position, column in uses:
                    result[position] = k.fma(pixel, registers[column], result[position])
        return result

    def _readers(self, t: _Tile) -> dict[int, list[tuple[int, int]]]:
        """The input places of a kernel row, in order of memory, each with the (result pixel, column) that read it."""
        s, readers = self.s, dict[int, list[tuple[int, int]]]()
        for i in range(t.height):
            for j in range(t.width):
                for column in range(s.tap_cols.count):
                    place = i * s.x.h + j * s.x.w + column * s.tap_cols.x
                    readers.setdefault(place, []).append((i * t.width + j, column))
        return dict(sorted(readers.items()))

    def _spread(self, pixel: Value, channel: int) -> Value:
        """Channel number ``channel`` of every group, in all lanes of the group."""
        group = self.filter.group
        if group == 1:
            return pixel
        return self.k.shuffle(pixel, pixel, [lane // group * group + channel for lane in range(self.k.lanes)])

    def _store(self, t: _Tile, sums: Sequence[Value]) -> None:
        k, s = self.k, self.s
        for position, value in enumerate(sums):
            h, w = k.add(t.h, position // t.width), k.add(t.w, position % t.width)
            stored = self.epilogue.apply(k, value, t.n, t.vector, h, w)
            k.store(stored, k.arg("y"), s.y.offset(k, t.n, t.vector, h, w), align=4 * k.lanes)
