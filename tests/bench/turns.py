"""Programs compared with netdsl, and then timed by turns."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.bench.clocks import CLOCKS, WALL
from tests.bench.nets import Array
from tests.bench.peers import OURS
from tests.bench.workers import Failed, Worker

LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Pace:
    """How often and how long. There are fewer ``rounds``, but ``LEAST_ROUNDS``, where they would take more than
    ``limit`` seconds; a turn takes ``seconds``, or one call."""

    rounds: int
    seconds: float
    limit: float = math.inf
    clock: str = WALL


def take_turns(
    turns: Sequence[tuple[Worker, str]], found: Mapping[str, dict[str, Any]], pace: Pace
) -> dict[str, dict[str, Any]]:
    """What was ``found`` of every program with its times, or why it ``failed`` on the way."""
    end = time.perf_counter() + pace.limit
    taken: dict[str, list[float]] = {title: [] for _, title in turns}
    failed: dict[str, dict[str, Any]] = {}
    for number in range(pace.rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        first = number % len(turns)
        for worker, title in (*turns[first:], *turns[:first]):
            answer = worker.turn(title, pace.seconds, pace.clock) if title not in failed else None
            if isinstance(answer, Failed):
                failed[title] = {"failed": answer.reason}
            elif answer is not None:
                taken[title].append(answer)
    summarize = CLOCKS[pace.clock].of_rounds
    timed = {title: found[title] | summarize(times) for title, times in taken.items() if title not in failed}
    return timed | failed


def compare(
    outputs: Mapping[str, list[Array] | Failed], tolerance: float, what: str = "outputs"
) -> dict[str, dict[str, Any]]:
    """Of every program the ``difference`` of its outputs to netdsl's, or why it ``failed``."""
    ours = outputs[OURS]
    if isinstance(ours, Failed):
        sys.exit(f"netdsl itself: {ours.reason}")
    found: dict[str, dict[str, Any]] = {}
    for title, theirs in outputs.items():
        if isinstance(theirs, Failed):
            found[title] = {"failed": theirs.reason}
            continue
        difference = largest_difference(ours, theirs)
        found[title] = {"difference": difference if math.isfinite(difference) else None}
        if not difference <= tolerance:
            found[title]["failed"] = f"its {what} differ by {difference:.1e}"
    return found


def largest_difference(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """In parts of our largest element; infinite for other shapes."""
    if [output.shape for output in ours] != [output.shape for output in theirs]:
        return float("inf")
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(our - their).max() / np.abs(our).max()) for our, their in pairs)


def all_equal(results: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no program computes something else."""
    return not any("difference" in p and "failed" in p for r in results for p in r["programs"].values())
