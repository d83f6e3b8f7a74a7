"""Offsets in one arena from sizes and life times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import cycle
from typing import TypeAlias

from netdsl.record import record


@record(frozen=False)
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
    # two live together exactly if one is there when the other begins: no other steps matter
    begins = sorted({item.first for item in intervals})
    order = sorted(range(len(intervals)), key=lambda i: (-intervals[i].size, intervals[i].first, i))
    taken = _Taken(len(begins))
    total = 0
    for item in map(intervals.__getitem__, order):
        length = -(-item.size // alignment) * alignment
        steps = bisect_left(begins, item.first), bisect_right(begins, item.last)
        item.offset = taken.take_lowest(steps, item.size, length) if item.size else 0
        total = max(total, item.offset + length)
    return total


Ranges: TypeAlias = list[int]
"""Ranges of offsets: where the first begins and ends, where the second does ...; what touches is one range. An offset
with an odd number of these behind it lies in a range."""


class _Taken:
    """What is taken at which steps: a segment tree. Node 1 stands for all steps, node n for those of 2n and 2n + 1,
    and the last nodes for a step each. ``through`` a node is what lives at all of its steps, ``within`` it at any."""

    def __init__(self, steps: int) -> None:
        self._leaves = 1 << max(steps - 1, 0).bit_length()
        self._through: list[Ranges] = [[] for _ in range(2 * self._leaves)]
        self._within: list[Ranges] = [[] for _ in range(2 * self._leaves)]

    def take_lowest(self, steps: tuple[int, int], size: int, length: int) -> int:
        """Take the lowest ``length`` offsets of which the first ``size`` are free from the first of ``steps`` until
        before the second."""
        parts = self._parts(*steps)
        taken = [ranges for node in parts if (ranges := self._within[node])]
        taken += [ranges for node in self._above(*steps) if (ranges := self._through[node])]
        offset = _lowest_free(taken, size)
        for node in parts:
            _add(self._through[node], offset, offset + length)
            # what a node has within it, all nodes above it have as well
            while node and _add(self._within[node], offset, offset + length):
                node >>= 1
        return offset

    def _parts(self, first: int, stop: int) -> list[int]:
        """The fewest nodes that make up the steps."""
        low, high = first + self._leaves, stop + self._leaves
        parts: list[int] = []
        while low < high:
            if low & 1:
                parts.append(low)
                low += 1
            if high & 1:
                high -= 1
                parts.append(high)
            low >>= 1
            high >>= 1
        return parts

    def _above(self, first: int, stop: int) -> list[int]:
        """The nodes above the first and the last step: all that hold a part, and some that lie in one."""
        low, high = first + self._leaves >> 1, stop - 1 + self._leaves >> 1
        above: list[int] = []
        while low != high:
            above += (low, high)
            low >>= 1
            high >>= 1
        while low:
            above.append(low)
            low >>= 1
        return above


def _lowest_free(taken: Sequence[Ranges], size: int) -> int:
    """The lowest offset from which on ``size`` elements are in none of the ranges."""
    offset = agreed = 0
    for ranges in cycle(taken):
        after = bisect_right(ranges, offset)
        behind = after | 1  # the end of the range that the offset is in, or of the next one
        agreed += 1
        if after == behind or (after < len(ranges) and ranges[after] < offset + size):
            offset, agreed = ranges[behind], 1
            while behind + 1 < len(ranges) and ranges[behind + 1] < offset + size:
                behind += 2
                offset = ranges[behind]
        if agreed == len(taken):
            return offset
    return 0


def _add(ranges: Ranges, start: int, end: int) -> bool:
    """Take a range of offsets; False where all of it was taken before."""
    low = bisect_left(ranges, start)
    high = bisect_right(ranges, end, low)
    borders = [] if low & 1 else [start]
    if not high & 1:
        borders.append(end)
    if ranges[low:high] == borders:
        return False
    ranges[low:high] = borders
    return True
