"""Checkpoints: a network's weights with all that is needed to go on training, or to predict.

One safetensors file. The parameters are under their own names, so a checkpoint is also a weights file;
optimizer state is under names with a slash, which no parameter has; the rest is JSON in the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Code, UserError
from netdsl.record import record
from netdsl.weights.files import Tensor, TensorFile, read_tensors, write_tensors

if TYPE_CHECKING:
    from netdsl.data.prepare import Preparation

SCHEMA = 1
METADATA_KEY = "netdsl"
STATE_PREFIX = "optimizer/"


@record(frozen=False)
class Progress:
    """How far training has come: ``step`` steps in all, ``epoch`` whole epochs and ``epoch_step`` steps of
    the next one, over which the losses sum to ``loss_sum``."""

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    loss_sum: float = 0.0
    best: float | None = None
    best_epoch: int = 0


@record
class Checkpoint:
    """``settings`` identify the training: resuming with others would not continue it."""

    net: str
    parameters: Mapping[str, Tensor]
    classes: tuple[str, ...]
    preparation: Preparation | None
    state: Mapping[str, Tensor] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write atomically; equal checkpoints give equal bytes."""
        about = {
            "schema": SCHEMA,
            "net": self.net,
            "classes": list(self.classes),
            "preparation": self.preparation.to_json() if self.preparation else None,
            "progress": asdict(self.progress),
            "settings": dict(self.settings),
        }
        tensors = dict(self.parameters)
        tensors.update({STATE_PREFIX + name: tensor for name, tensor in self.state.items()})
        write_tensors(path, tensors, {METADATA_KEY: json.dumps(about, sort_keys=True)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `Checkpoint.save` wrote. Raises UserError on any other file."""
    return checkpoint_of(read_tensors(path))


def checkpoint_of(file: TensorFile) -> Checkpoint:
    """The checkpoint that a safetensors file holds. Raises UserError if it holds none."""
    if METADATA_KEY not in file.metadata:
        raise UserError.of(
            Code.CHECKPOINT,
            f"`{file.path}` holds weights, but is not a checkpoint of netdsl",
            help="a checkpoint is a `last.safetensors` or `best.safetensors` that `netdsl train` wrote",
        )
    try:
        return _from_file(file, json.loads(file.metadata[METADATA_KEY]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError.of(
            Code.CHECKPOINT,
            f"the metadata of `{file.path}` cannot be understood",
            notes=(f"{type(error).__name__}: {error}",),
        ) from error


def _from_file(file: TensorFile, record: dict[str, Any]) -> Checkpoint:
    from netdsl.data.prepare import Preparation

    if record["schema"] != SCHEMA:
        raise ValueError(f"schema {record['schema']!r}; this version reads schema {SCHEMA}")
    prefix = len(STATE_PREFIX)
    preparation = record["preparation"]
    return Checkpoint(
        net=str(record["net"]),
        parameters={n: t for n, t in file.tensors.items() if not n.startswith(STATE_PREFIX)},
        classes=tuple(str(name) for name in record["classes"]),
        preparation=Preparation.from_json(preparation) if preparation is not None else None,
        state={n[prefix:]: t for n, t in file.tensors.items() if n.startswith(STATE_PREFIX)},
        progress=_progress(record["progress"]),
        settings=dict(record["settings"]),
    )


def _progress(record: Mapping[str, Any]) -> Progress:
    known = {f.name for f in fields(Progress)}
    if set(record) != known:
        raise ValueError(f"progress has {sorted(record)}, expected {sorted(known)}")
    counts = ("step", "epoch", "epoch_step", "best_epoch")
    if any(not isinstance(record[name], int) or record[name] < 0 for name in counts):
        raise ValueError("a count of steps or epochs is not a whole number from 0 on")
    best = record["best"]
    return Progress(
        **{name: record[name] for name in counts},
        loss_sum=float(record["loss_sum"]),
        best=None if best is None else float(best),
    )
