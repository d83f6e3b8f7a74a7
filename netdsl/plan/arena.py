"""Offsets in one arena from sizes and life times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


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
    taken = _Taken(max((item.last for item in intervals), default=0))
    total = 0
    for item in map(intervals.__getitem__, order):
        length = -(-item.size // alignment) * alignment
        item.offset = taken.take_lowest(item, length)
        total = max(total, item.offset + length)
    return total


class _Ranges:
    """Ranges of offsets that are taken: apart, in order; what touches becomes one, so there are few."""

    __slots__ = ("ends", "starts")

    def __init__(self, start: int, end: int) -> None:
        self.starts = [start]
        self.ends = [end]

    def add(self, start: int, end: int) -> None:
        starts, ends = self.starts, self.ends
        low, high = bisect_left(ends, start), bisect_right(starts, end)
        if high - low == 1 and starts[low] <= start and end <= ends[low]:
            return
        if low < high:
            start, end = min(start, starts[low]), max(end, ends[high - 1])
        starts[low:high] = (start,)
        ends[low:high] = (end,)

    def free_from(self, offset: int, size: int) -> int:
        """The lowest offset from ``offset`` on where ``size`` elements are free."""
        starts, ends = self.starts, self.ends
        number = bisect_right(ends, offset)
        while number < len(starts) and starts[number] < offset + size:
            offset = ends[number]
            number += 1
        return offset


class _Taken:
    """What is taken at which steps: a segment tree. Node 1 stands for all steps, node n for those of 2n and 2n + 1,
    and the last nodes for a step each. ``through`` a node is what lives at all of its steps, ``within`` it at any."""

    def __init__(self, last: int) -> None:
        self._leaves = 1 << last.bit_length()
        self._through: list[_Ranges | None] = [None] * (2 * self._leaves)
        self._within: list[_Ranges | None] = [None] * (2 * self._leaves)

    def take_lowest(self, item: Interval, length: int) -> int:
        """Take the lowest ``length`` offsets of which the first ``item.size`` are free during the item's life."""
        if not item.size:
            return 0
        parts, above = self._parts(item), self._above(item)
        taken = [ranges for node in parts if (ranges := self._within[node])]
        taken += [ranges for node in above if (ranges := self._through[node])]
        offset, before = 0, -1
        while offset != before:
            before = offset
            for ranges in taken:
                offset = ranges.free_from(offset, item.size)
        for node in parts:
            _add(self._through, node, offset, offset + length)
            _add(self._within, node, offset, offset + length)
        for node in above:
            _add(self._within, node, offset, offset + length)
        return offset

    def _parts(self, item: Interval) -> list[int]:
        """The fewest nodes that make up the item's life."""
        low, high = item.first + self._leaves, item.last + self._leaves + 1
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

    def _above(self, item: Interval) -> list[int]:
        """The nodes above the first and the last step: all that hold a part, and some that lie in one."""
        low, high = item.first + self._leaves >> 1, item.last + self._leaves >> 1
        above: list[int] = []
        while low != high:
            above += (low, high)
            low >>= 1
            high >>= 1
        while low:
            above.append(low)
            low >>= 1
        return above


def _add(table: list[_Ranges | None], node: int, start: int, end: int) -> None:
    ranges = table[node]
    if ranges is None:
        table[node] = _Ranges(start, end)
    else:
        ranges.add(start, end)
