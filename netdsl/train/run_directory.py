"""The folder of one training: `config.json`, `metrics.jsonl`, pictures, `last` and `best` checkpoints, and those of
some epochs (`epoch-0007.safetensors`) where they are kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Code, UserError
from netdsl.record import record
from netdsl.weights.atomic import not_writable, remove_leftovers, write_atomically

if TYPE_CHECKING:
    from netdsl.data.base import Split
    from netdsl.train.answers import Answers
    from netdsl.train.checkpoint import Checkpoint

LAST, BEST = "last.safetensors", "best.safetensors"
_CONFIG, _METRICS, _CURVES = "config.json", "metrics.jsonl", "curves.png"
_CURVES_SVG, _CONFUSION, _MISTAKES = "curves.svg", "confusion.png", "mistakes.png"
_FAILED = "failed.safetensors"
_INSPECTIONS, _INSPECTIONS_SVG = "inspect.jsonl", "inspect.svg"

Record = dict[str, Any]


@record
class RunDirectory:
    path: Path

    @classmethod
    def new(cls, path: Path) -> RunDirectory:
        """A run directory to be made. Raises UserError if there is one already."""
        run = cls(path)
        if run.last.exists() or run.config.exists():
            raise UserError.of(
                Code.CHECKPOINT,
                f"`{path}` already holds a training",
                help="continue it with `--resume`, or name another folder with `--out`",
            )
        return run

    @classmethod
    def fresh(cls, parent: Path, name: str) -> RunDirectory:
        """``parent/name``, or the first free of ``name-2``, ``name-3``, ..., to be made."""
        number, path = 1, parent / name
        while path.exists():
            number += 1
            path = parent / f"{name}-{number}"
        return cls.new(path)

    @staticmethod
    def newest(parent: Path, name: str) -> Path:
        """The path among ``parent/name``, ``name-2``, ... with the highest number."""
        number, path = 1, parent / name
        while (following := parent / f"{name}-{number + 1}").exists():
            number, path = number + 1, following
        return path

    def make(self) -> None:
        """Make the folder. Raises UserError if that cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_writable(self.path, error) from error

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run directory, to continue. Raises UserError if there is nothing to continue."""
        run = cls(path)
        if not run.last.is_file():
            raise UserError.of(
                Code.CHECKPOINT,
                f"`{path}` holds no `{LAST}` to resume from",
                help="it ended before its first checkpoint: remove the folder and train anew"
                if run.config.is_file()
                else None,
            )
        remove_leftovers(path, LAST)
        remove_leftovers(path, BEST)
        remove_leftovers(path, "epoch-*.safetensors")
        return run

    @property
    def last(self) -> Path:
        return self.path / LAST

    @property
    def best(self) -> Path:
        return self.path / BEST

    @property
    def failed(self) -> Path:
        """Where training stood before a step that was not finite, if it was watched."""
        return self.path / _FAILED

    def of_epoch(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch:04d}.safetensors"

    @classmethod
    def with_failure(cls, path: Path) -> RunDirectory:
        """A run directory whose training ended in a step to take again. Raises UserError if there is none."""
        run = cls(path)
        if not run.failed.is_file() or not run.config.is_file():
            raise UserError.of(
                Code.CHECKPOINT,
                f"`{path}` holds no step to run again",
                help="`netdsl train --nan-check` keeps it when a number is not finite",
            )
        return run

    def read_config(self) -> dict[str, Any]:
        """What `write_config` wrote. Raises UserError for anything that is no table in JSON."""
        try:
            found = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError.of(Code.CHECKPOINT, f"`{self.config}` cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise UserError.of(Code.CHECKPOINT, f"`{self.config}` is no table in JSON")
        return found

    def drop_epochs(self, until: int) -> None:
        """Remove the kept checkpoints of the epochs up to ``until``."""
        for path in self.path.glob("epoch-*.safetensors"):
            found = re.fullmatch(r"epoch-(\d{4,})\.safetensors", path.name)
            if found and int(found[1]) <= until:
                path.unlink(missing_ok=True)

    @property
    def config(self) -> Path:
        return self.path / _CONFIG

    @property
    def metrics(self) -> Path:
        return self.path / _METRICS

    @property
    def curves(self) -> Path:
        return self.path / _CURVES

    @property
    def confusion(self) -> Path:
        """Which class was taken for which after the last epoch, where the first metric ranks classes."""
        return self.path / _CONFUSION

    @property
    def mistakes(self) -> Path:
        """The worst of them, where there are any."""
        return self.path / _MISTAKES

    @property
    def inspections(self) -> Path:
        """What was seen of each layer at some steps, a line each, where the training is inspected."""
        return self.path / _INSPECTIONS

    @property
    def inspections_picture(self) -> Path:
        return self.path / _INSPECTIONS_SVG

    def remove_if_empty(self) -> None:
        """Take the folder away again if nothing was written to it."""
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def save(self, checkpoint: Checkpoint, path: Path) -> None:
        """Write a checkpoint to one of this folder's paths."""
        checkpoint.save(path)

    def forget_failure(self) -> None:
        """Remove what an earlier step left that was not finite."""
        self.failed.unlink(missing_ok=True)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write what was decided, and in which folder, seen from this one: relative paths are meant from there."""
        folder = os.path.relpath(Path.cwd(), self.path.resolve())
        write_atomically(self.config, (json.dumps({**config, "folder": folder}, indent=2) + "\n").encode())

    def started_in(self) -> Path:
        """The folder in which the training was started, also where it has been moved together with this one.

        Raises UserError where it is gone. Of a record that does not say: the working directory.
        """
        folder = self.read_config().get("folder")
        if not isinstance(folder, str):
            return Path.cwd()
        found = Path(os.path.normpath(self.path.resolve() / folder))
        if not found.is_dir():
            raise UserError.of(
                Code.CHECKPOINT,
                f"there is no folder `{found}`, where the training of `{self.path}` was started",
                help="move the run directory back, or the folder with it: its network and data are looked for there",
            )
        return found

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one line to `metrics.jsonl`, so that it is there even if the process dies next."""
        _append(self.metrics, record)

    def add_inspection(self, record: Mapping[str, Any]) -> None:
        """Add one line to `inspect.jsonl`."""
        _append(self.inspections, record)

    def records(self) -> list[Record]:
        """The whole lines of `metrics.jsonl`; a last one that a kill cut short does not count."""
        return _records(self.metrics)

    def inspected(self) -> list[Record]:
        """The whole lines of `inspect.jsonl`, likewise."""
        return _records(self.inspections)

    def cut(self, step: int) -> None:
        """Drop what the records say of later steps than ``step``: they will be taken again."""
        for path in (self.metrics, self.inspections):
            if path.is_file():
                kept = [record for record in _records(path) if record["step"] <= step]
                write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept).encode())

    def draw_curves(self, metric: str | None, percent: bool) -> None:
        """Draw what `metrics.jsonl` holds; see :mod:`netdsl.train.curves`."""
        from netdsl.train.curves import training_curves

        png, svg = training_curves(self.records(), metric, percent)
        write_atomically(self.curves, png)
        write_atomically(self.path / _CURVES_SVG, svg)

    def draw_inspections(self, net: str) -> None:
        """Draw what `inspect.jsonl` holds; see :mod:`netdsl.train.inspection_figure`."""
        from netdsl.report.figure.svg import svg
        from netdsl.train.inspection_figure import inspection_figure

        records = self.inspected()
        if records:
            write_atomically(self.inspections_picture, svg(inspection_figure(records, net)).encode())

    def draw_answers(self, answers: Answers, test: Split) -> None:
        """Draw what was answered for the test set; see :mod:`netdsl.train.answer_pictures`."""
        from netdsl.train.answer_pictures import confusion_picture, mistakes_picture

        write_atomically(self.confusion, confusion_picture(answers))
        picture = mistakes_picture(answers, test)
        if picture is None:
            self.mistakes.unlink(missing_ok=True)
        else:
            write_atomically(self.mistakes, picture)


class Onlooker(RunDirectory):
    """The folder of a training that another process writes: nothing is written, and nothing of its records read."""

    def make(self) -> None:
        pass

    def save(self, checkpoint: Checkpoint, path: Path) -> None:
        pass

    def forget_failure(self) -> None:
        pass

    def drop_epochs(self, until: int) -> None:
        pass

    def write_config(self, config: Mapping[str, Any]) -> None:
        pass

    def append(self, record: Mapping[str, Any]) -> None:
        pass

    def add_inspection(self, record: Mapping[str, Any]) -> None:
        pass

    def records(self) -> list[Record]:
        return []

    def cut(self, step: int) -> None:
        pass

    def draw_curves(self, metric: str | None, percent: bool) -> None:
        pass

    def draw_inspections(self, net: str) -> None:
        pass

    def draw_answers(self, answers: Answers, test: Split) -> None:
        pass


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
    except OSError as error:
        raise not_writable(path, error) from error


def _records(path: Path) -> list[Record]:
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            break
        records.append(record)
    return records
