"""What a Winograd convolution costs in every way that its tiles may be cut into blocks, and the cheapest way.

Costs are in multiply-adds of registers, or the time they take; the constants are fitted to 500 measured layers of 20
shapes on an AVX-512 machine, where the cheapest way by these costs was 3 % slower than the fastest in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property

from netdsl.record import record
from netdsl_llvm.tiling import grid_cost, pixel_limit
from netdsl_llvm.winograd_filter import WinogradFilter
from netdsl_llvm.winograd_work import Work

TRANSFORM_COST, BACK_COST = 6.7, 4.0
"""Of one register through the transform of an input or a filter, and of a result, by position, within the cache."""
FAR_COST = 2.0
"""As many times as much they are where a block does not fit the second-level cache,"""
NEAR_BYTES = 800 << 10
"""which keeps so much of it."""
SHARED_FILTER_BYTES = 12 << 20
"""A filter of so much is still in the last-level cache when the next block of tiles is multiplied with it."""
INPUT_BYTES = 5.0
"""Of transformed inputs that come from beyond the second-level cache in the time of a multiply-add."""
FIRST_LEVEL_BYTES, WEIGHT_BYTES = 32 << 10, 80.0
"""Weights of a position that leave room in the first-level cache; of others so many bytes come in that time."""
MEMORY_BYTES, SHARED_BYTES = 5.0, 16.0
"""That come from memory, and from the last-level cache, in the time of a multiply-add."""
FROM_MEMORY, FROM_SHARED, FROM_NEAR = (MEMORY_BYTES, 1.0), (SHARED_BYTES, 0.3), (WEIGHT_BYTES, 0.0)
"""So weights come, with the part of their time that the products of one panel do not hide."""
BARRIER_COST = 4000.0
MOST_TILES = 56
"""Of a block. Larger ones took up to twice the time, more than costs say: what they transform leaves the caches."""
MOST_INPUT_BYTES = 12 << 20
"""Of the transformed inputs that exist at a time, where they can be fewer."""


@record
class Costs:
    """Of the busiest thread, on a machine with so many vector registers."""

    work: Work
    filter: WinogradFilter
    registers: int

    @property
    def total(self) -> float:
        work, f = self.work, self.filter
        if work.shared:
            items = -(-f.tiles * work.blocks // work.threads)
            again = items - -(-items // work.blocks)  # a thread takes one filter tile after the other to all blocks
            products = (items - again) * self._products(work.block, self._first)
            products += again * self._products(work.block, self._again)
            made = self._filter_of_tile * max(map(self._tiles_of, range(work.threads)))
            return (
                self._into * work.tiles / work.threads
                + self._barrier
                + made
                + products
                + items * self._back * work.block
            )
        turns = -(-work.blocks // work.threads)
        tiles = min(work.tiles, turns * work.block)
        products = self._products(min(tiles, work.block), self._first)
        if turns > 1:
            products += (turns - 2) * self._products(work.block, self._again)
            products += self._products(tiles - (turns - 1) * work.block, self._again)
        return (self._into + self._back * f.tiles) * tiles + f.tiles * products + self._whole_filter

    @property
    def _barrier(self) -> float:
        return BARRIER_COST if self.work.threads > 1 else 0.0

    def _tiles_of(self, thread: int) -> int:
        """Filter tiles that a thread takes of work that is shared."""
        work, items = self.work, self.filter.tiles * self.work.blocks
        begin, end = (number * items // work.threads for number in (thread, thread + 1))
        return -(-end // work.blocks) - begin // work.blocks

    @property
    def _filter_of_tile(self) -> float:
        """Of the transform of a filter tile."""
        work, f = self.work, self.filter
        if not work.changing:
            return 0.0
        weights = 4 * f.group_inputs * f.kernel**2 * f.width
        return max(TRANSFORM_COST * f.positions * f.group_inputs * f.vectors, weights / MEMORY_BYTES)

    @property
    def _whole_filter(self) -> float:
        """Of the transform of all of it, ahead of the products."""
        work, f = self.work, self.filter
        if not work.changing:
            return 0.0
        moved = 8 * f.size / self._again[0]  # a line that is written is read first
        return (self._filter_of_tile * f.tiles + moved) / work.threads + self._barrier

    def _products(self, tiles: int, source: tuple[float, float]) -> float:
        """Of so many tiles of the map and one of the filter, whose weights come from there."""
        work, f = self.work, self.filter
        panels = -(-tiles // work.panel)
        products = 2 * f.positions * f.group_inputs * panels * grid_cost(f.vectors, (work.panel, 1), self.registers)
        if 4 * f.position_stride > FIRST_LEVEL_BYTES:
            products += panels * 4 * f.tile_stride / WEIGHT_BYTES
        inputs = 0.0 if self._is_near else 4 * work.block_size(f) / f.groups / INPUT_BYTES
        weights = 4 * f.tile_stride / source[0]
        return max(products, weights + inputs) + source[1] * weights / panels

    @property
    def _first(self) -> tuple[float, float]:
        """Where weights come from when they are used first."""
        return self._again if self.work.changing else FROM_MEMORY

    @property
    def _again(self) -> tuple[float, float]:
        """Where weights come from when they were used before."""
        work, f = self.work, self.filter
        if work.changing and work.shared:
            return FROM_NEAR if 4 * work.made_size(f) <= NEAR_BYTES else FROM_SHARED
        return FROM_SHARED if 4 * f.size <= SHARED_FILTER_BYTES else FROM_MEMORY

    @property
    def _into(self) -> float:
        """Of the transform of a tile of the input."""
        return TRANSFORM_COST * self._stretch * self.filter.positions * self.filter.input_blocks * self.filter.groups

    @property
    def _back(self) -> float:
        """Of the transform of a tile's results for one tile of the filter."""
        return BACK_COST * self._stretch * self.filter.positions * self.filter.vectors

    @property
    def _stretch(self) -> float:
        return 1.0 if self._is_near else FAR_COST

    @cached_property
    def _is_near(self) -> bool:
        """Whether a block stays in the second-level cache: all of them, if a thread takes a filter tile to all."""
        work, f = self.work, self.filter
        inputs = work.inputs_size(f) if work.shared and work.changing else work.block_size(f)
        return 4 * (inputs + work.products_size(f)) <= NEAR_BYTES


@cache
def cheapest(
    filter: WinogradFilter, registers: int, batch: int, height: int, width: int, threads: int, changing: bool
) -> tuple[Work, float]:
    """The way of least cost to a result of this size, and its cost; ``changing``: every run transforms the filter."""
    rows, cols = -(-height // filter.results), -(-width // filter.results)
    ways = [
        Work(filter.results, batch, rows, cols, block, shared, threads, panel, changing)
        for block, panel in _blocks(pixel_limit(registers, filter.vectors), batch * rows * cols, threads)
        for shared in ((False, True) if threads > 1 or changing else (False,))
    ]
    sizes = [4 * way.inputs_size(filter) for way in ways]
    most = max(MOST_INPUT_BYTES, min(sizes))
    costs = {way: Costs(way, filter, registers).total for way, size in zip(ways, sizes, strict=True) if size <= most}
    best = min(costs, key=lambda way: costs[way])
    return best, costs[best]


def _blocks(limit: int, tiles: int, threads: int) -> Iterator[tuple[int, int]]:
    """Tiles of a block and of a panel, ``limit`` at most, worth trying: all in one block, and several of few panels."""
    counts = {1, *(threads * turns for turns in (1, 2, 3, 4, 6, 8))}
    counts |= {-(-tiles // (limit * panels)) for panels in (2, 4, 8)}
    for count in sorted(counts):
        block = -(-tiles // count)
        if block <= MOST_TILES:
            panels = -(-block // limit)
            panel = -(-block // panels)
            yield min(tiles, panel * panels), panel
