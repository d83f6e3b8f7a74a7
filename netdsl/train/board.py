"""A training's numbers, histograms and pictures for TensorBoard, by the package tensorboardX (extra `tensorboard`).

Event files are written as it goes, by the thread that trains: a disk that is full is an error here, not silence.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netdsl.diagnostics import Code, UserError
from netdsl.train.inspection import dead
from netdsl.train.progress import EpochSummary, Reporter
from netdsl.train.run_directory import RunDirectory
from netdsl.weights.atomic import not_writable

FOLDER = "tensorboard"
"""In the run directory."""
STEPS_AN_EPOCH = 50
"""So many of an epoch's steps have their loss and learning rate told."""
_PARTS = ("tensorboardX", "google", "packaging")


def require_package() -> None:
    """Raises UserError where tensorboardX is not installed."""
    try:
        import tensorboardX.event_file_writer  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PARTS:
            raise
        raise UserError.of(
            Code.BAD_OPTION,
            "logs for TensorBoard need tensorboardX",
            help="python -m pip install 'netdsl[tensorboard]'",
        ) from None


class Board:
    """Tells ``inner`` all that it is told, and TensorBoard too: in the folder `FOLDER` of the run directory.

    Where a training is resumed, TensorBoard forgets what an earlier file says of the steps that are taken again.
    """

    def __init__(self, inner: Reporter, run: RunDirectory) -> None:
        require_package()
        self._inner, self._run = inner, run
        self._events: _Events | None = None
        self._step, self._steps = 0, 1

    def begin_epoch(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self._step, self._steps = (epoch - 1) * steps + done, steps
        if self._events is None:
            self._events = _Events(self._run.path / FOLDER, self._step)
        self._inner.begin_epoch(epoch, epochs, steps, done)

    def step(self, loss: float, rate: float, samples: int) -> None:
        self._step += 1
        if self._step % self._steps % max(1, self._steps // STEPS_AN_EPOCH) == 0:
            self._scalars({"loss/step": loss, "learning_rate": rate})
        self._inner.step(loss, rate, samples)

    def inspected(self, record: Mapping[str, Any]) -> None:
        assert self._events is not None
        for layer in record["layers"]:
            for parameter in layer["parameters"]:
                self._parameter(record["step"], parameter)
            if layer["activation"] is not None:
                self._events.histogram(f"activations/{layer['layer']}", layer["activation"], record["step"])
        counts = {f"dead_units/{name}": float(count) for name, count, _ in dead(record["layers"])}
        self._events.scalars(counts, record["step"])
        self._inner.inspected(record)

    def end_epoch(self, summary: EpochSummary) -> None:
        speed = {"busy": summary.busy, "seconds_an_epoch": summary.seconds}
        test = {f"test/{name}": value for name, value in summary.test.items()}
        self._scalars({"loss/epoch": summary.loss, **test, **speed})
        if summary.epoch == summary.epochs and self._events is not None:
            for path in (self._run.confusion, self._run.mistakes):
                if path.is_file():
                    self._events.picture(path.stem, path.read_bytes(), self._step)
        self._inner.end_epoch(summary)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None
        self._inner.close()

    def _scalars(self, values: Mapping[str, float]) -> None:
        if self._events is not None:
            self._events.scalars(values, self._step)

    def _parameter(self, step: int, found: Mapping[str, Any]) -> None:
        assert self._events is not None
        name, gradient, ratio = found["name"], found["gradient"], found["update"]["ratio"]
        self._events.histogram(f"weights/{name}", found["weight"], step)
        if gradient is not None:
            self._events.histogram(f"gradients/{name}", gradient, step)
            self._events.scalars({f"gradient_norm/{name}": gradient["norm"]}, step)
        if ratio is not None:
            self._events.scalars({f"update_by_weights/{name}": ratio}, step)


class _Events:
    """An event file, written at once."""

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event, self._summary, self._folder = event_pb2, summary_pb2, folder
        try:
            folder.mkdir(exist_ok=True)
            # The time in its name is in seconds: a training resumed within the same one gets a file of its own.
            self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.step{step}")
        except OSError as error:
            raise not_writable(folder, error) from error
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(session_log=start), step + 1)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        found = [self._summary.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        if found:
            self._add(found, step)

    def histogram(self, name: str, spread: Mapping[str, Any], step: int) -> None:
        """Of what an inspection says of an array (`netdsl.train.spread`), its zeros put back to their place."""
        found = spread["histogram"]
        if found is None:
            return
        limits, counts = _with_zeros(found, spread["zeros"])
        number, mean = float(spread["count"] - spread["not_finite"]), spread["mean"]
        values = self._summary.HistogramProto(
            min=spread["quantiles"][0],
            max=spread["quantiles"][-1],
            num=number,
            sum=mean * number,
            sum_squares=spread["norm"] ** 2,
            bucket_limit=limits,
            bucket=counts,
        )
        self._add([self._summary.Summary.Value(tag=name, histo=values)], step)

    def picture(self, name: str, png: bytes, step: int) -> None:
        from PIL import Image

        width, height = Image.open(io.BytesIO(png)).size
        image = self._summary.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self._add([self._summary.Summary.Value(tag=name, image=image)], step)

    def close(self) -> None:
        self._guarded(self._writer.close)

    def _add(self, values: list[Any], step: int) -> None:
        self._write(self._event.Event(summary=self._summary.Summary(value=values)), step)

    def _write(self, event: Any, step: int) -> None:
        event.step, event.wall_time = step, time.time()
        self._guarded(lambda: self._writer.write_event(event))
        self._guarded(self._writer.flush)

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            raise not_writable(self._folder, error) from error


def _with_zeros(found: Mapping[str, Any], zeros: float) -> tuple[list[float], list[float]]:
    """Upper ends and counts of the bins, with the share of ``zeros`` that the histogram leaves out."""
    counts = [float(count) for count in found["counts"]]
    low, high = found["low"], found["high"]
    limits = [low + (high - low) * (number + 1) / len(counts) for number in range(len(counts))]
    missing = sum(counts) * zeros / (1 - zeros)
    if not missing:
        return limits, counts
    if low > 0:
        return [low, *limits], [missing, *counts]
    if high < 0:
        return [*limits, 0.0], [*counts, missing]
    place = next(number for number, limit in enumerate(limits) if limit >= 0 or number + 1 == len(limits))
    counts[place] += missing
    return limits, counts
