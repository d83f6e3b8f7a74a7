"""Offsets in one arena from sizes and life times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Interval:
    """A buffer of ``size`` elements that lives from step ``first`` to step ``last``, both included."""

    size: int
    first: int
    last: int
    offset: int = -1


def place(intervals: Sequence[Interval], alignment: int) -> int:
    """Give every interval an offset so that no two that live together overlap; returns the arena's size.

    Largest first, each at the lowest gap that holds it among those alive at the same time: close to the
    lower bound in practice, and deterministic.
    """
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].size, intervals[i].first, i))
    count = len(order)
    first, last = np.empty(count, np.int64), np.empty(count, np.int64)
    start, end = np.empty(count, np.int64), np.empty(count, np.int64)
    total = 0
    for placed, index in enumerate(order):
        item = intervals[index]
        alive = np.flatnonzero((first[:placed] <= item.last) & (last[:placed] >= item.first))
        item.offset = _lowest_gap(start[alive], end[alive], item.size)
        first[placed], last[placed] = item.first, item.last
        start[placed] = item.offset
        end[placed] = item.offset + -(-item.size // alignment) * alignment
        total = max(total, int(end[placed]))
    return total


def _lowest_gap(starts: np.ndarray, ends: np.ndarray, size: int) -> int:
    if not len(starts):
        return 0
    order = np.argsort(starts, kind="stable")
    reached = np.concatenate([[0], np.maximum.accumulate(ends[order])])
    gaps = starts[order] - reached[:-1]
    fits = np.flatnonzero(gaps >= size)
    return int(reached[fits[0]] if len(fits) else reached[-1])
