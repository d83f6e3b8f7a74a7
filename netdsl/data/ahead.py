"""Work done ahead of who needs it, on threads of its own."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_WORKERS = 64
_USUAL_MOST = 4


class Ahead:
    """``workers`` threads (without it up to four, one a core) that stay two results a thread ahead. ``waited`` are
    the seconds, in all, for which a result was needed and not there yet."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers if workers is not None else max(1, min(_USUAL_MOST, os.cpu_count() or 1))
        self.waited = 0.0

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """``work`` of each item, in order. Stopping early waits for what is being worked on, and drops it."""
        pending: deque[Future[Result]] = deque()
        rest = iter(items)
        with ThreadPoolExecutor(max_workers=self.workers, thread_name_prefix="netdsl-data") as pool:
            try:
                for item in rest:
                    pending.append(pool.submit(work, item))
                    if len(pending) > 2 * self.workers:
                        yield self._first(pending)
                while pending:
                    yield self._first(pending)
            finally:
                for future in pending:
                    future.cancel()

    def _first(self, pending: deque[Future[Result]]) -> Result:
        started = time.perf_counter()
        result = pending.popleft().result()
        self.waited += time.perf_counter() - started
        return result
