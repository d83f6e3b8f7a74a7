"""Adding up what a step hands over, over all ranks, while the step goes on (`netdsl.plan.executor.Exchange`).

A group of values is copied into one array; each rank gets one part of it from all others, adds the parts in the order
of the ranks, and sends the sum to all: ``2 (R - 1) / R`` of the array go out of each rank and as much comes in, which
is the least there can be (Patarasuk, Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 2009). Every rank so has
the same bits, and the same in every run: MPI's own sums may be taken in any order.

A thread does all that, in the order in which groups begin, so that transfers go on beside the backward pass.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.plan.executor import Shared

Array = NDArray[Any]
SMALL = 1 << 14
"""Where all ranks have so many numbers together, each is sent to all whole: one transfer takes less time than two."""
PIECE = 1 << 22
"""Numbers that are added up at once (16 MiB): bounds the memory that transfers need."""
_NAP = 50e-6
"""Seconds between two looks at a transfer that nobody waits for yet."""


class Exchange:
    """Adds up over the ranks of an MPI communicator, which nothing else uses."""

    def __init__(self, communicator: Any) -> None:
        self._communicator = communicator
        self._groups: list[Sequence[Shared]] = []
        self._buffers: list[Array] = []
        self._ended: list[threading.Event] = []
        self._begun: SimpleQueue[int] = SimpleQueue()
        self._awaited = False
        self._error: BaseException | None = None

    def agrees(self, text: str) -> bool:
        """Whether all ranks say the same."""
        from netdsl.train.ranks import gathered

        return len(set(gathered(self._communicator, text.encode()))) == 1

    def connect(self, groups: Sequence[Sequence[Shared]]) -> None:
        """Make room for the groups, and start the thread."""
        self._groups = list(groups)
        self._buffers = [np.empty(sum(shared.size for shared in group), np.float32) for group in groups]
        self._ended = [threading.Event() for _ in groups]
        threading.Thread(target=self._work, name="netdsl-exchange", daemon=True).start()

    def begin(self, group: int) -> None:
        """The group's values are there."""
        self._ended[group].clear()
        self._begun.put(group)

    def end(self, group: int) -> None:
        """Wait for the group's sums."""
        if self._ended[group].is_set():
            return
        self._awaited = True
        self._ended[group].wait()
        self._awaited = False
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            group = self._begun.get()
            try:
                if self._error is None:
                    self._add_up(group)
            except BaseException as error:
                self._error = error  # `end` raises it, in the thread that runs the step
            self._ended[group].set()

    def _add_up(self, group: int) -> None:
        buffer, start = self._buffers[group], 0
        places = []
        for shared in self._groups[group]:
            places.append(buffer[start : start + shared.size])
            start += shared.size
        for shared, place in zip(self._groups[group], places, strict=True):
            shared.read(place)
        for first in range(0, buffer.size, PIECE):
            add_in_order(self._communicator, buffer[first : first + PIECE], self._wait)
        for shared, place in zip(self._groups[group], places, strict=True):
            shared.write(place)

    def _wait(self, request: Any) -> None:
        """For a transfer. While the step computes, the core is its: MPI's own waiting would take half of it."""
        while not request.Test():
            if self._awaited:
                os.sched_yield()
            else:
                time.sleep(_NAP)


def add_in_order(communicator: Any, array: Array, wait: Any) -> None:
    """Replace a float32 array [n] by its sum over all ranks: ``((a0 + a1) + a2) + ...`` for each number."""
    ranks, size = communicator.Get_size(), array.size
    if size <= ranks or size * ranks <= SMALL:
        parts = np.empty((ranks, size), np.float32)
        wait(communicator.Iallgather(array, parts))
        array[:] = _sum(parts)
        return
    bounds = [size * rank // ranks for rank in range(ranks + 1)]
    counts = [stop - start for start, stop in pairwise(bounds)]
    mine = counts[communicator.Get_rank()]
    parts = np.empty((ranks, mine), np.float32)
    received = [parts, ([mine] * ranks, [mine * rank for rank in range(ranks)])]
    wait(communicator.Ialltoallv([array, (counts, bounds[:-1])], received))
    wait(communicator.Iallgatherv(_sum(parts), [array, (counts, bounds[:-1])]))


def _sum(parts: Array) -> Array:
    total: Array = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
