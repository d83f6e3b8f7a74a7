"""Starting a network from the weights of another: what is taken, what is left, what does not fit, tensor by tensor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, UserError
from netdsl.weights.files import Tensor
from netdsl.weights.match import IGNORED_ENDINGS, LOSS_PREFIX, mismatch, shape_text

Shapes = Mapping[str, tuple[int, ...]]
KINDS = ("weight", "bias", "running_mean", "running_var")
"""Last words of parameters' names that tell what the parameter is."""


class Outcome(Enum):
    """What became of a parameter or of a tensor of the file."""

    TAKEN = "taken"
    RESET = "reset"
    FRESH = "fresh"
    MISSING = "missing"
    MISMATCHED = "mismatched"
    UNUSED = "unused"


@dataclass(frozen=True)
class Entry:
    """A parameter, the tensor it was to be taken from, or both; ``note`` says why not where it was not."""

    outcome: Outcome
    parameter: str | None
    tensor: str | None
    note: str = ""

    def line(self) -> str:
        """``reset       fc.weight``; another name in the file behind ``<-``."""
        name = self.parameter or self.tensor or ""
        source = f" <- {self.tensor}" if self.parameter and self.tensor not in (None, self.parameter) else ""
        return f"{self.outcome.value:<10}  {name}{source}{f'  ({self.note})' if self.note else ''}"


@dataclass(frozen=True)
class Transfer:
    """The report, parameters in the network's order and then the tensors that nothing took; and what was taken."""

    path: Path
    entries: tuple[Entry, ...]
    taken: Mapping[str, NDArray[np.float32]]

    def count(self, outcome: Outcome) -> int:
        return sum(entry.outcome is outcome for entry in self.entries)

    def summary(self) -> str:
        """``12 taken, 2 reset``."""
        counts = ((self.count(outcome), outcome.value) for outcome in Outcome)
        return ", ".join(f"{count} {word}" for count, word in counts if count)

    def to_json(self) -> dict[str, Any]:
        entries = [
            {"outcome": e.outcome.value, "parameter": e.parameter, "tensor": e.tensor, "note": e.note}
            for e in self.entries
        ]
        return {"path": str(self.path), "tensors": entries}


def transfer(
    tensors: Mapping[str, Tensor],
    expected: Shapes,
    path: Path,
    *,
    match: Literal["name", "order"] = "name",
    reset: Sequence[str] = (),
    partial: bool = False,
) -> Transfer:
    """Find a tensor for each parameter of ``expected``, but not for those whose names match ``reset``.

    By ``name``, or by ``order``: each parameter gets the next tensor of its shape and kind (weight, bias, ...) that no
    other got before it; see ``in_order``. What a loss has of its own may be missing. Raises UserError with all that
    does not fit, unless ``partial``.
    """
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(IGNORED_ENDINGS)}
    wanted = {name: shape for name, shape in expected.items() if not _matches(name, reset)}
    found = {name: name for name in wanted if name in tensors} if match == "name" else _by_order(tensors, wanted)
    entries = [_of_parameter(name, shape, tensors, found.get(name), name in wanted) for name, shape in expected.items()]
    entries += _left(tensors, set(found.values()), expected, reset)
    result = Transfer(path, tuple(entries), _arrays(tensors, entries))
    if not partial:
        _require_all(result, expected)
    return result


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _of_parameter(
    name: str, shape: tuple[int, ...], tensors: Mapping[str, Tensor], source: str | None, wanted: bool
) -> Entry:
    if not wanted:
        return Entry(Outcome.RESET, name, name if name in tensors else None)
    if source is None:
        return Entry(Outcome.FRESH if name.startswith(LOSS_PREFIX) else Outcome.MISSING, name, None)
    tensor = tensors[source]
    if tensor.shape != shape:
        note = f"{shape_text(tensor.shape)} in the file, {shape_text(shape)} in the network"
        return Entry(Outcome.MISMATCHED, name, source, note)
    if tensor.dtype.kind != "f":
        return Entry(Outcome.MISMATCHED, name, source, f"{tensor.dtype}, not floating-point numbers")
    return Entry(Outcome.TAKEN, name, source)


def _left(tensors: Mapping[str, Tensor], used: set[str], expected: Shapes, reset: Sequence[str]) -> Iterator[Entry]:
    """Tensors that no parameter took. Those that are reset are told of already, those of losses are nobody's."""
    for name in tensors:
        told = name in expected and _matches(name, reset)
        if name not in used and not told and not (name.startswith(LOSS_PREFIX) and name not in expected):
            yield Entry(Outcome.UNUSED, None, name)


def _arrays(tensors: Mapping[str, Tensor], entries: Sequence[Entry]) -> dict[str, NDArray[np.float32]]:
    return {
        entry.parameter: np.asarray(tensors[entry.tensor], dtype=np.float32, order="C")
        for entry in entries
        if entry.outcome is Outcome.TAKEN and entry.parameter is not None and entry.tensor is not None
    }


def _by_order(tensors: Mapping[str, Tensor], wanted: Shapes) -> dict[str, str]:
    """For each parameter the next tensor of its shape and kind."""
    waiting: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name in in_order(tensors):
        waiting.setdefault((_kind(name), tensors[name].shape), []).append(name)
    found = {}
    for name, shape in wanted.items():
        same = waiting.get((_kind(name), shape))
        if same:
            found[name] = same.pop(0)
    return found


def in_order(names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Names as people count: ``layer2`` before ``layer10``. (Writers of safetensors sort tensors by name, so the order
    of a file tells nothing of its network.)"""
    return sorted(
        names,
        key=lambda name: [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _parts(name)],
    )


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)|\.", name) if part]


def _kind(name: str) -> str:
    last = name.rpartition(".")[2]
    return last if last in KINDS else ""


def _require_all(result: Transfer, expected: Shapes) -> None:
    def named(outcome: Outcome) -> list[Entry]:
        return [entry for entry in result.entries if entry.outcome is outcome]

    missing = [entry.parameter or "" for entry in named(Outcome.MISSING)]
    unused = [entry.tensor or "" for entry in named(Outcome.UNUSED)]
    misfits = [f"`{entry.parameter}`: {entry.note}" for entry in named(Outcome.MISMATCHED)]
    if not missing and not unused and not misfits:
        return
    help = "`--reset 'PATTERN'` lets parameters begin afresh, `--partial` takes what fits"
    found = mismatch(result.path, missing, unused, misfits, list(expected)).diagnostics[0]
    raise UserError.of(
        Code.WEIGHTS_MISMATCH, found.title, notes=found.notes, help=f"{found.help}; {help}" if found.help else help
    )
