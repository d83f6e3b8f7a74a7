"""In which order a convolution's work items are best walked: what stays in the second-level cache, what is read again.

Reading an input again costs more than its bytes: it comes in short runs (some pixels of a row, block after block),
which hardware fetches ahead badly, while weights are one long run.
"""

from __future__ import annotations

from enum import Enum

NEAR_BYTES = 768 << 10
"""What a core keeps in its second-level cache beside streams passing through."""
SHARED_BYTES = 16 << 20
"""What it may hope to find in the last-level cache."""
SHORT_RUNS = 8
FROM_MEMORY = 8


class Order(Enum):
    """Loops over filter tiles, samples and rows of pixel tiles, from the outermost to the innermost."""

    ROWS_LAST = "tiles, samples, rows"
    SAMPLES_FIRST = "samples, tiles, rows"
    TILES_LAST = "samples, rows, tiles"


def best_order(sample: int, weights: int, batch: int, tiles: int, rows: int) -> Order:
    """The order of least traffic. ``sample`` and ``weights`` are bytes: of one sample's input, and of the filter."""
    once = batch * sample
    again = once * tiles * SHORT_RUNS
    costs = {
        Order.ROWS_LAST: (once if once <= NEAR_BYTES else again) + weights,
        Order.SAMPLES_FIRST: (once if sample <= NEAR_BYTES else again) + _stream(weights, batch),
        Order.TILES_LAST: once + _stream(weights, batch * rows),
    }
    return min(costs, key=lambda order: costs[order])


def _stream(weights: int, times: int) -> int:
    """Traffic of reading all weights so often."""
    if weights <= NEAR_BYTES or times == 1:
        return weights
    return weights * times * (FROM_MEMORY if weights > SHARED_BYTES else 1)
