"""Offsets in one arena from sizes and life times."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Steps are looked at this many at a time: what lives in other groups of steps needs no look.
_GROUP = 16

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
    everything: list[Placed] = []
    groups: dict[int, list[Placed]] = {}
    total = 0
    for item in map(intervals.__getitem__, order):
        touched = range(item.first // _GROUP, item.last // _GROUP + 1)
        near = groups.get(touched[0], []) if len(touched) == 1 else everything
        item.offset = _lowest_gap(near, item)
        end = item.offset + -(-item.size // alignment) * alignment
        placed = (item.offset, end, item.first, item.last)
        insort(everything, placed)
        for group in touched:
            insort(groups.setdefault(group, []), placed)
        total = max(total, end)
    return total


def _lowest_gap(placed: Iterable[Placed], item: Interval) -> int:
    """The lowest offset with room for ``item``; ``placed`` is in the order of starts."""
    reached, first, last, size = 0, item.first, item.last, item.size
    for start, end, born, dead in placed:
        if born <= last and dead >= first:
            if start - reached >= size:
                break
            if end > reached:
                reached = end
    return reached
