"""How the tiles of a Winograd convolution are cut into blocks and shared out, what it costs, what memory it takes.

Costs are in multiply-adds of registers, or the time they take; the constants are fitted to 500 measured layers of 20
shapes on an AVX-512 machine, where the cheapest way by these costs was 3 % slower than the fastest in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from netdsl.record import record
from netdsl_llvm.tiling import CACHE_LINE, grid_cost, pixel_limit
from netdsl_llvm.winograd_filter import WinogradFilter

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
FROM_MEMORY, FROM_SHARED = (MEMORY_BYTES, 1.0), (SHARED_BYTES, 0.3)
"""So weights come, with the part of their time that the products of one panel do not hide."""
BARRIER_COST = 4000.0
MOST_INPUT_BYTES = 12 << 20
"""Of the transformed inputs that exist at a time, where they can be fewer."""


@record
class Work:
    """``rows x cols`` tiles of ``results x results`` a sample, all samples' in one line, cut into equal blocks.

    ``shared``: all blocks' inputs are transformed before any product, by all threads together; otherwise each thread
    takes whole blocks.
    """

    results: int
    batch: int
    rows: int
    cols: int
    block: int
    shared: bool
    threads: int
    panel: int
    """Tiles multiplied together: the pixels of a register tile."""

    @staticmethod
    def of(filter: WinogradFilter, registers: int, batch: int, height: int, width: int, threads: int) -> Work:
        """The cheapest way to a result of this size, on a machine with so many vector registers."""
        return cheapest(filter, registers, batch, height, width, threads)[0]

    @property
    def tiles(self) -> int:
        return self.batch * self.rows * self.cols

    @property
    def blocks(self) -> int:
        return -(-self.tiles // self.block)

    @property
    def panels(self) -> int:
        """Of a block; the last one may have fewer tiles."""
        return -(-self.block // self.panel)

    @property
    def gap(self) -> int:
        """Elements between positions that hold nothing: else all positions of a tile would lie in one cache set."""
        return CACHE_LINE

    def inputs_size(self, f: WinogradFilter) -> int:
        """Elements of transformed inputs that exist at a time."""
        return (self.blocks if self.shared else self.threads) * self.block_size(f)

    def product_stride(self, f: WinogradFilter) -> int:
        """Elements from one position's products to the next one's."""
        return f.vectors * self.block * f.lanes + self.gap

    def products_size(self, f: WinogradFilter) -> int:
        """Elements of the products of one thread."""
        return f.positions * self.product_stride(f)

    def scratch(self, f: WinogradFilter) -> int:
        """Elements of all working memory."""
        return self.inputs_size(f) + self.threads * self.products_size(f)

    def block_size(self, f: WinogradFilter) -> int:
        """Elements of the transformed inputs of a block."""
        return f.positions * (f.input_blocks * f.groups * self.panels * self.panel * f.lanes + self.gap)

    # -- costs -----------------------------------------------------------------------------

    def cost(self, f: WinogradFilter, registers: int) -> float:
        """Of the busiest thread."""
        near = 4 * (self.block_size(f) + self.products_size(f)) <= NEAR_BYTES
        transform = f.positions * (1.0 if near else FAR_COST)
        into = TRANSFORM_COST * transform * f.input_blocks * f.groups
        back = BACK_COST * transform * f.vectors
        inputs = 0.0 if near else 4 * self.block_size(f) / f.groups / INPUT_BYTES

        def multiplied(tiles: int, source: tuple[float, float]) -> float:
            """One tile of the filter with so many of the map, its weights coming from there."""
            panels = -(-tiles // self.panel)
            products = 2 * f.positions * f.group_inputs * panels * grid_cost(f.vectors, (self.panel, 1), registers)
            if 4 * f.position_stride > FIRST_LEVEL_BYTES:
                products += panels * 4 * f.tile_stride / WEIGHT_BYTES
            weights = 4 * f.tile_stride / source[0]
            return max(products, weights + inputs) + source[1] * weights / panels

        again = FROM_SHARED if 4 * f.size <= SHARED_FILTER_BYTES else FROM_MEMORY
        if self.shared:
            items = -(-f.tiles * self.blocks // self.threads)
            first = -(-items // self.blocks)
            products = first * multiplied(self.block, FROM_MEMORY) + (items - first) * multiplied(self.block, again)
            return (into * self.tiles) / self.threads + BARRIER_COST + products + items * back * self.block
        turns = -(-self.blocks // self.threads)
        tiles = min(self.tiles, turns * self.block)
        products = multiplied(min(tiles, self.block), FROM_MEMORY)
        if turns > 1:
            products += (turns - 2) * multiplied(self.block, again)
            products += multiplied(tiles - (turns - 1) * self.block, again)
        return (into + back * f.tiles) * tiles + f.tiles * products


@cache
def cheapest(
    filter: WinogradFilter, registers: int, batch: int, height: int, width: int, threads: int
) -> tuple[Work, float]:
    """The way of least cost to a result of this size, and its cost."""
    rows, cols = -(-height // filter.results), -(-width // filter.results)
    ways = [
        Work(filter.results, batch, rows, cols, block, shared, threads, panel)
        for block, panel in _blocks(pixel_limit(registers, filter.vectors), batch * rows * cols, threads)
        for shared in ((False, True) if threads > 1 else (False,))
    ]
    sizes = [4 * way.inputs_size(filter) for way in ways]
    most = max(MOST_INPUT_BYTES, min(sizes))
    costs = {way: way.cost(filter, registers) for way, size in zip(ways, sizes, strict=True) if size <= most}
    best = min(costs, key=lambda way: costs[way])
    return best, costs[best]


def _blocks(limit: int, tiles: int, threads: int) -> Iterator[tuple[int, int]]:
    """Tiles of a block and of a panel, ``limit`` at most, worth trying: all in one block, and several of few panels."""
    counts = {1, *(threads * turns for turns in (1, 2, 3, 4, 6, 8))}
    counts |= {-(-tiles // (limit * panels)) for panels in (2, 4, 8)}
    for count in sorted(counts):
        block = -(-tiles // count)
        panels = -(-block // limit)
        panel = -(-block // panels)
        yield min(tiles, panel * panels), panel
