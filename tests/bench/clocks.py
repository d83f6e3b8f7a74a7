"""What is taken of a call: the time that passes, or the time its process had on a processor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.timing import Timing

WALL, CPU = "wall", "cpu"


@dataclass(frozen=True)
class Clock:
    """``read`` gives seconds; ``of_calls`` is the number of a turn, ``of_rounds`` what is kept of all turns."""

    read: Callable[[], float]
    of_calls: Callable[[list[float]], float]
    of_rounds: Callable[[list[float]], dict[str, float]]
    unit: str
    words: str


def _least(seconds: list[float]) -> dict[str, float]:
    return {"least": min(seconds) * 1e3, "rounds": len(seconds)}


CLOCKS = {
    WALL: Clock(
        time.perf_counter,
        statistics.median,
        lambda seconds: asdict(Timing.of(seconds)),
        "median ms",
        "Milliseconds a call, float32: median (10th to 90th percentile)",
    ),
    # Others on the machine make a process wait, which it is not charged for, and empty its caches, which it is: the
    # least of many calls is the one they disturbed least.
    CPU: Clock(
        time.process_time,
        min,
        _least,
        "least CPU ms",
        "Milliseconds of CPU time that the process used in a call, float32: the least of all calls",
    ),
}


def milliseconds(found: Mapping[str, Any]) -> float | None:
    """The number that stands for a program; None for one that was not timed."""
    value: float | None = found.get("median", found.get("least"))
    return value
