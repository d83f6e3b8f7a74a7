"""Timing several programs against each other so that a noisy machine treats them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call: median, and the 10th and 90th percentile as the spread."""

    median: float
    low: float
    high: float
    rounds: int

    @staticmethod
    def of(seconds: list[float]) -> Timing:
        if len(seconds) < 2:
            raise ValueError("a spread needs at least two rounds")
        tenths = statistics.quantiles(seconds, n=10, method="inclusive")
        return Timing(statistics.median(seconds) * 1e3, tenths[0] * 1e3, tenths[-1] * 1e3, len(seconds))


def interleave(programs: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 3) -> dict[str, Timing]:
    """Call each program once a round, in an order that turns by one every round."""
    names = list(programs)
    for name in names:
        for _ in range(warmups):
            programs[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            programs[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: Timing.of(seconds[name]) for name in names}
