"""Ctrl-C during training: finish the step, save, then stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StopRequest:
    """While active, the first interrupt (SIGINT) or termination (SIGTERM) only sets ``pending``; the second
    acts as ever. Handlers are installed in the main thread only, where Python allows it, and put back."""

    def __init__(self) -> None:
        self.pending: signal.Signals | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def agree(self) -> None:
        """Called after every step: where several processes take it, one that was asked to stop asks all."""

    def note(self, number: int) -> None:
        """Stop as if this signal had come."""
        self.pending = signal.Signals(number)
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.note(number)

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # whatever signal.signal returned
        self._previous.clear()
