"""Offsets in one arena from sizes and life times."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

# The shortest span of steps with a list of its own has 2**_FINEST of them.
_FINEST = 6

Placed = tuple[int, int, int, int]
"""Start and end in the arena, first and last step."""


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
    spans = _Spans(max((item.last for item in intervals), default=0))
    total = 0
    for item in map(intervals.__getitem__, order):
        item.offset = _lowest_gap(spans.around(item), item)
        end = item.offset + -(-item.size // alignment) * alignment
        spans.add((item.offset, end, item.first, item.last))
        total = max(total, end)
    return total


class _Spans:
    """What is placed, by spans of 64, 128, 256, ... steps: most buffers live briefly and need a look at few others."""

    def __init__(self, last: int) -> None:
        self._levels = range(_FINEST, max(_FINEST, last.bit_length()) + 1)
        self._placed: dict[tuple[int, int], list[Placed]] = {}

    def add(self, placed: Placed) -> None:
        *_, first, last = placed
        for level in self._levels:
            for number in range(first >> level, (last >> level) + 1):
                insort(self._placed.setdefault((level, number), []), placed)

    def around(self, item: Interval) -> list[Placed]:
        """Everything alive in the shortest span that holds the item's life, in the order of starts."""
        level = max(_FINEST, (item.first ^ item.last).bit_length())
        return self._placed.get((level, item.first >> level), [])


def _lowest_gap(placed: Sequence[Placed], item: Interval) -> int:
    """The lowest offset with room for ``item``; ``placed`` is in the order of starts."""
    reached, first, last, size = 0, item.first, item.last, item.size
    for start, end, born, dead in placed:
        if born <= last and dead >= first:
            if start - reached >= size:
                break
            if end > reached:
                reached = end
    return reached
