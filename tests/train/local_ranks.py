"""Ranks that are threads of this process: what adds up is a barrier and a sum in NumPy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from netdsl.plan.executor import Shared

Result = TypeVar("Result")


class Meeting:
    """Where ``count`` threads bring something, and each gets what all brought."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._barrier = threading.Barrier(count, timeout=60)
        self._brought: list[Any] = [None] * count

    def all(self, rank: int, mine: Any) -> list[Any]:
        self._brought[rank] = mine
        self._barrier.wait()
        found = list(self._brought)
        self._barrier.wait()
        return found

    def give_up(self) -> None:
        self._barrier.abort()


class LocalExchange:
    """One rank's `netdsl.plan.executor.Exchange`; adds up at `end`, in the order of the ranks. Unless ``alike`` it
    says, behind the first question, that orders in memory differ."""

    def __init__(self, meeting: Meeting, rank: int, alike: bool = True) -> None:
        self._meeting, self._rank, self._alike = meeting, rank, alike
        self.groups: list[Sequence[Shared]] = []
        self.begun: list[int] = []
        self._asked = 0

    def agrees(self, text: str) -> bool:
        self._asked += 1
        return len(set(self._meeting.all(self._rank, text))) == 1 and (self._alike or self._asked == 1)

    def connect(self, groups: Sequence[Sequence[Shared]]) -> None:
        self.groups = list(groups)

    def begin(self, group: int) -> None:
        self.begun.append(group)

    def end(self, group: int) -> None:
        if group not in self.begun:
            return
        self.begun.remove(group)
        for shared in self.groups[group]:
            mine = np.full(shared.size, np.nan, np.float32)
            shared.read(mine)
            total = np.zeros_like(mine)
            for part in self._meeting.all(self._rank, mine):
                total += part
            shared.write(total)


def together(count: int, work: Callable[[int, Meeting], Result]) -> list[Result]:
    """What ``work(rank, meeting)`` gives for each of so many ranks; the first error is raised."""
    meeting = Meeting(count)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(rank, meeting)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            errors.append(error)
            meeting.give_up()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
