"""Telling how training goes: a bar on a terminal, plain lines everywhere else. Everything goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TextIO


@dataclass(frozen=True)
class EpochSummary:
    """One finished epoch. ``test`` has the mean loss as ``loss`` and each metric by its name; those named in
    ``shares`` are shares of 1. ``busy`` is the share of ``seconds`` that was not spent waiting for data."""

    epoch: int
    epochs: int
    loss: float
    test: Mapping[str, float]
    shares: Collection[str]
    seconds: float
    best: bool
    busy: float = 1.0

    def line(self) -> str:
        width = len(str(self.epochs))
        test = "  ".join(
            format_metric(name, value, name in self.shares) for name, value in self.test.items() if name != "loss"
        )
        return (
            f"epoch {self.epoch:{width}d}/{self.epochs}  loss {self.loss:.4f}  "
            f"test loss {self.test['loss']:.4f}  {test}{'  ' if test else ''}{self.seconds:.1f} s"
            f"  busy {100 * self.busy:.0f}%"
            f"{'  (best)' if self.best else ''}"
        )


def format_metric(name: str, value: float, share: bool) -> str:
    """A share of 1 in percent, anything else as a number."""
    return f"{name} {100 * value:.2f}%" if share else f"{name} {value:.4f}"


class Reporter(Protocol):
    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None: ...

    def step(self, loss: float, rate: float, samples: int) -> None: ...

    def inspected(self, record: Mapping[str, Any]) -> None:
        """What was seen of the layers at a step, as `inspect.jsonl` has it."""
        ...

    def end_epoch(self, summary: EpochSummary) -> None: ...

    def close(self) -> None: ...


class Silent:
    """For use from Python."""

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        pass

    def step(self, loss: float, rate: float, samples: int) -> None:
        pass

    def inspected(self, record: Mapping[str, Any]) -> None:
        pass

    def end_epoch(self, summary: EpochSummary) -> None:
        pass

    def close(self) -> None:
        pass


class PlainLines(Silent):
    """One line an epoch, written at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def end_epoch(self, summary: EpochSummary) -> None:
        print(summary.line(), file=self._stream, flush=True)


class ProgressBar:
    """A bar for the running epoch, above it a line for each finished one."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=Console(file=stream, highlight=False),
            transient=True,
        )
        self._task: Any = None
        self._samples, self._started = 0, time.perf_counter()
        self._progress.start()

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self._samples, self._started = 0, time.perf_counter()
        self._task = self._progress.add_task(f"epoch {epoch}/{epochs}", total=steps, completed=done, state="")

    def step(self, loss: float, rate: float, samples: int) -> None:
        self._samples += samples
        per_second = self._samples / max(time.perf_counter() - self._started, 1e-9)
        state = f"loss {loss:.4f}  lr {rate:.3g}  {per_second:,.0f} samples/s"
        self._progress.update(self._task, advance=1, state=state)

    def inspected(self, record: Mapping[str, Any]) -> None:
        pass

    def end_epoch(self, summary: EpochSummary) -> None:
        self._progress.remove_task(self._task)
        self._progress.console.print(summary.line(), markup=False)

    def close(self) -> None:
        self._progress.stop()


def reporter_for(stream: TextIO | None = None) -> Reporter:
    """A bar if ``stream`` (stderr) is a terminal that can draw one, else plain lines."""
    import os

    stream = stream if stream is not None else sys.stderr
    if stream.isatty() and os.environ.get("TERM", "") != "dumb":
        return ProgressBar(stream)
    return PlainLines(stream)
