"""Register tiles: how many result channels times how many pixels are accumulated at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from netdsl.record import record

CACHE_LINE = 16
"""In elements."""
# Fewer sums than this in flight leave multiply-add units waiting for their own results.
LATENCY_CYCLES = 4
# With 28 of 32 registers as sums, half of the convolutions of ResNet-50 ran at 85 % of what they reach with 24 to 26.
MOST_SUMS = 26
# Loop and address work of a tile, in cycles for every step of the innermost loop: breaks ties towards larger tiles.
TILE_OVERHEAD = 0.25
# What a tile that takes every register loses: none is left to load ahead of its use.
ALL_REGISTERS = 1.08


@record
class Split:
    """``size`` cut into ``parts`` that differ by at most one: the first ``longer`` have ``base + 1``."""

    size: int
    parts: int

    @property
    def base(self) -> int:
        return self.size // self.parts

    @property
    def longer(self) -> int:
        return self.size % self.parts

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """(start, length, count) of the runs of equal parts."""
        head = [(0, self.base + 1, self.longer)] if self.longer else []
        return [*head, (self.longer * (self.base + 1), self.base, self.parts - self.longer)]


@record
class PixelTiles:
    """How a grid of pixels is cut into tiles."""

    rows: Split
    cols: Split


def pixel_limit(registers: int, vectors: int) -> int:
    """Pixels a tile may have: one register for the input, ``vectors`` for weights, the others accumulate."""
    return max(1, min(MOST_SUMS, registers - 1 - vectors) // vectors)


def cut(rows: int, cols: int, limit: int) -> PixelTiles:
    """Tiles of at most ``limit`` pixels: parts of a row, or several whole rows of a narrow map."""
    if cols >= limit:
        return PixelTiles(Split(rows, rows), Split(cols, -(-cols // limit)))
    height = min(rows, limit // cols)
    return PixelTiles(Split(rows, -(-rows // height)), Split(cols, 1))


@cache
def best_vectors(
    output_vectors: int, grids: tuple[tuple[int, int], ...], registers: int, *, divisor: bool = False
) -> int:
    """The number of registers of result channels in a tile that costs least over these grids of pixels.

    ``divisor``: it must divide ``output_vectors``, so that no tile reaches into the next group.
    """
    candidates = [v for v in range(1, min(4, output_vectors) + 1) if not divisor or output_vectors % v == 0]
    return min(candidates, key=lambda v: (_cost(v, output_vectors, grids, registers), -v))


def _cost(vectors: int, output_vectors: int, grids: Sequence[tuple[int, int]], registers: int) -> float:
    whole, rest = divmod(output_vectors, vectors)
    total = whole * sum(grid_cost(vectors, grid, registers) for grid in grids)
    if rest:
        total += sum(grid_cost(rest, grid, registers) for grid in grids)
    return total


@cache
def grid_cost(vectors: int, grid: tuple[int, int], registers: int) -> float:
    """Cycles of one step of the innermost loop over all tiles, at two multiply-adds and two loads a cycle."""
    tiles = cut(*grid, pixel_limit(registers, vectors))
    total = 0.0
    for _, height, row_count in tiles.rows.pieces:
        for _, width, col_count in tiles.cols.pieces:
            pixels = height * width
            cycles = max(vectors * pixels / 2, (vectors + pixels) / 2, LATENCY_CYCLES)
            if vectors * pixels + vectors + 1 >= registers:
                cycles *= ALL_REGISTERS
            total += row_count * col_count * (cycles + TILE_OVERHEAD)
    return total
