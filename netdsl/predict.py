"""From picture files to classes and probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import Float32Array
from netdsl.data.picture import read_picture
from netdsl.data.prepare import Preparation
from netdsl.data.trim import trimmed
from netdsl.diagnostics import Code, Diagnostic, Level, UserError
from netdsl.ir.graph import Graph, Value
from netdsl.metrics import probabilities
from netdsl.plan.executor import Executor
from netdsl.train.ranks import ONE, Ranks


@dataclass(frozen=True)
class Prediction:
    """``ranked`` are (class name, probability), the most likely first."""

    path: Path
    ranked: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "file": str(self.path),
            "predictions": [{"class": name, "probability": value} for name, value in self.ranked],
        }


@dataclass(frozen=True)
class _Looked:
    """What came of a batch of files, from number ``start`` on."""

    start: int
    seen: tuple[Prediction, ...]
    failed: tuple[Diagnostic, ...]

    def to_json(self) -> list[Any]:
        seen = [[str(one.path), one.ranked] for one in self.seen]
        failed = [[one.code.name, one.level.name, one.title, one.notes, one.help] for one in self.failed]
        return [self.start, seen, failed]

    @staticmethod
    def from_json(found: list[Any]) -> _Looked:
        start, seen, failed = found
        predictions = [Prediction(Path(path), tuple((name, value) for name, value in ranked)) for path, ranked in seen]
        errors = [
            Diagnostic(Code[code], Level[level], title, notes=tuple(notes), help=help)
            for code, level, title, notes, help in failed
        ]
        return _Looked(start, tuple(predictions), tuple(errors))


def class_scores(graph: Graph) -> Value:
    """The output that scores classes: the first of shape [C] or [C, 1, 1]. Raises UserError if none is."""
    for value in graph.outputs.values():
        shape = value.type.shape
        if value.type.batched and shape and shape[0] > 1 and all(size == 1 for size in shape[1:]):
            return value
    raise UserError.of(
        Code.WRONG_TYPE,
        f"`{graph.name}` has no output that scores classes",
        notes=tuple(f"`{name}` is {value.type}" for name, value in graph.outputs.items()),
    )


class Predictor:
    """A trained net ready to look at pictures."""

    def __init__(
        self,
        executor: Executor,
        *,
        batch: int,
        image_input: str,
        scores: tuple[str, str],
        classes: Sequence[str],
        preparation: Preparation,
        invert: bool = False,
        trim: bool = False,
    ) -> None:
        """``scores`` are name and op of the output to read; ``invert`` swaps dark and light
        first; ``trim`` cuts pictures to what stands out from their ground."""
        self._executor, self._batch, self._image_input = executor, batch, image_input
        self._scores, self._classes = scores, tuple(classes)
        self._preparation, self._invert, self._trim = preparation, invert, trim

    def files(self, paths: Sequence[Path], top: int, ranks: Ranks = ONE) -> tuple[list[Prediction], list[Diagnostic]]:
        """Predictions for the files that can be read, in order, and an error for each that cannot. Several ``ranks``
        take batches of files in turn, and all have all results."""
        own: list[_Looked] = []
        for start in range(ranks.number * self._batch, len(paths), ranks.count * self._batch):
            own.append(self._look(start, paths[start : start + self._batch], top))
        looked = sorted(ranks.all_of(own, _Looked.to_json, _Looked.from_json), key=lambda one: one.start)
        return [one for part in looked for one in part.seen], [one for part in looked for one in part.failed]

    def _look(self, start: int, paths: Sequence[Path], top: int) -> _Looked:
        readable: list[tuple[Path, Float32Array]] = []
        failed: list[Diagnostic] = []
        for path in paths:
            try:
                readable.append((path, self._prepare(read_picture(path))))
            except UserError as error:
                failed.extend(error.diagnostics)
        if not readable:
            return _Looked(start, (), tuple(failed))
        rows = self.images(np.stack([image for _, image in readable]))
        seen = [Prediction(path, self._rank(row, top)) for (path, _), row in zip(readable, rows, strict=True)]
        return _Looked(start, tuple(seen), tuple(failed))

    def images(self, images: Float32Array) -> NDArray[np.float64]:
        """Probabilities [N, C] of prepared pictures [N, ...], N up to the batch."""
        filled = np.resize(images, (self._batch, *images.shape[1:]))
        outputs: Mapping[str, NDArray[Any]] = self._executor.step({self._image_input: filled})
        name, op = self._scores
        return probabilities(outputs[name][: len(images)].reshape(len(images), -1), op)

    def _prepare(self, image: Float32Array) -> Float32Array:
        image = np.float32(1) - image if self._invert else image
        return self._preparation(trimmed(image) if self._trim else image)

    def _rank(self, row: NDArray[np.float64], top: int) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-row, kind="stable")[:top]
        return tuple((self._classes[index], float(row[index])) for index in order)
