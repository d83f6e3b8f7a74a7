"""How the tiles of a Winograd convolution are cut into blocks and shared out, what it costs, what memory it takes.

Costs are in multiply-adds of registers, or the time they take.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from netdsl.record import record
from netdsl_llvm.tiling import grid_cost
from netdsl_llvm.winograd_filter import WinogradFilter

CACHE_LINE = 16
"""In elements."""
TRANSFORM_COST = 6.5
"""Of one register through a transform, from cache to cache, by position."""
SHARED_BYTES = 16.0
"""That come from the last-level cache in the time of a multiply-add."""
BARRIER_COST = 4000.0
MOST_TILES = 56
"""In a block: with more the transformed inputs leave the second-level cache, with fewer weights are read too often."""


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
    def gap(self) -> int:
        """Elements between positions that hold nothing: else all positions of a tile would lie in one cache set."""
        return CACHE_LINE

    def inputs_size(self, f: WinogradFilter) -> int:
        """Elements of transformed inputs that exist at a time."""
        blocks = self.blocks if self.shared else self.threads
        return blocks * f.positions * (f.input_blocks * f.groups * self.block * f.lanes + self.gap)

    def product_stride(self, f: WinogradFilter) -> int:
        """Elements from one position's products to the next one's."""
        return f.vectors * self.block * f.lanes + self.gap

    def products_size(self, f: WinogradFilter) -> int:
        """Elements of the products of one thread."""
        return f.positions * self.product_stride(f)

    def scratch(self, f: WinogradFilter) -> int:
        """Elements of all working memory."""
        return self.inputs_size(f) + self.threads * self.products_size(f)

    def cost(self, f: WinogradFilter, registers: int) -> float:
        """Of the busiest thread; reading the weights the first time is not in it."""
        input_blocks, vectors = f.input_blocks * f.groups, f.output_vectors
        into = TRANSFORM_COST * f.positions * input_blocks
        products = 2 * f.positions * f.group_inputs * grid_cost(f.vectors, (self.block, 1), registers)
        back = TRANSFORM_COST * f.positions * f.vectors * self.block
        weights = 4 * f.tile_stride / SHARED_BYTES
        filter_tile = max(products, weights) + back
        if not self.shared:
            return -(-self.blocks // self.threads) * (into * self.block + vectors / f.vectors * filter_tile)
        items = -(-f.tiles * self.blocks // self.threads)
        return into * self.tiles / self.threads + BARRIER_COST + items * filter_tile


@cache
def cheapest(
    filter: WinogradFilter, registers: int, batch: int, height: int, width: int, threads: int
) -> tuple[Work, float]:
    """The way of least cost to a result of this size, and its cost."""
    rows, cols = -(-height // filter.results), -(-width // filter.results)
    ways = (
        Work(filter.results, batch, rows, cols, block, shared, threads)
        for block in _blocks(batch * rows * cols, threads)
        for shared in ((False, True) if threads > 1 else (False,))
    )
    return min(((way, way.cost(filter, registers)) for way in ways), key=lambda found: found[1])


def _blocks(tiles: int, threads: int) -> Iterator[int]:
    """Tiles of a block worth trying."""
    fewest = -(-tiles // MOST_TILES)
    for count in dict.fromkeys((fewest, *(-(-fewest // threads) * threads * more for more in (1, 2)), 2 * fewest)):
        yield -(-tiles // count)
