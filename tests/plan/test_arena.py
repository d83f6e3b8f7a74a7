"""Offsets in the arena: the lowest gaps, as looking at everything placed before finds them."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.plan.arena import Interval, place

LIVES = st.tuples(st.integers(0, 5000), st.integers(0, 90), st.integers(0, 90))


def slowly_placed(intervals: list[Interval], alignment: int) -> list[int]:
    """Every offset, found by looking at all others."""
    placed: list[tuple[int, int, Interval]] = []
    offsets = [0] * len(intervals)
    for number in sorted(range(len(intervals)), key=lambda i: (-intervals[i].size, intervals[i].first, i)):
        item, reached = intervals[number], 0
        for start, end, other in sorted(placed, key=lambda entry: entry[:2]):
            if other.first <= item.last and other.last >= item.first:
                if start - reached >= item.size:
                    break
                reached = max(reached, end)
        offsets[number] = reached
        placed.append((reached, reached + -(-item.size // alignment) * alignment, item))
    return offsets


@settings(max_examples=60, deadline=None)
@given(st.lists(LIVES, max_size=60), st.sampled_from([1, 16]))
def test_gaps_are_the_lowest(lives: list[tuple[int, int, int]], alignment: int) -> None:
    intervals = [Interval(size, min(one, other), max(one, other)) for size, one, other in lives]
    place(intervals, alignment)
    assert [item.offset for item in intervals] == slowly_placed(intervals, alignment)


def calls(layers: int) -> int:
    """Function calls to place a training step of a chain: activations live until their gradients."""
    lives = [(16 * (layers - n), n, 2 * layers - n) for n in range(layers)]
    lives += [(160 + 16 * (n % 7), n, n + 2) for n in range(2 * layers - 2)]
    count = 0

    def step(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    intervals = [Interval(*life) for life in lives]
    sys.setprofile(step)
    try:
        place(intervals, 16)
    finally:
        sys.setprofile(None)
    return count


def test_work_grows_little_faster_than_the_step() -> None:
    assert calls(2000) < 2.5 * calls(1000)
