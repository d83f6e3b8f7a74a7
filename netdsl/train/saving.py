"""When a training saves, beside the end of every epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Saving:
    """``every``: `last` is also written in the middle of an epoch, when so many seconds have gone by since it was
    written. ``keep``: so many epochs' checkpoints stay, beside `last` and `best`.

    Raises ValueError for numbers out of range.
    """

    every: float | None = None
    keep: int = 0

    def __post_init__(self) -> None:
        if self.every is not None and not 0 < self.every < float("inf"):
            raise ValueError(f"a checkpoint every {self.every} seconds")
        if self.keep < 0:
            raise ValueError(f"{self.keep} kept checkpoints")


class SavingClock:
    """Tells when the next checkpoint in the middle of an epoch is due."""

    def __init__(self, every: float | None) -> None:
        self._every, self._saved = every, time.monotonic()

    def due(self) -> bool:
        return self._every is not None and time.monotonic() - self._saved >= self._every

    def saved(self) -> None:
        self._saved = time.monotonic()
