"""Fitting named tensors to a network's parameters, and saying all that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, UserError, suggest
from netdsl.weights.converted import as_converted
from netdsl.weights.files import Tensor

IGNORED_ENDINGS = ("num_batches_tracked",)  # batch counters that published checkpoints carry
LOSS_PREFIX = "loss."  # layers that only training has, such as GoogLeNet's auxiliary classifiers
MAX_NAMED = 8


def match_weights(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, NDArray[np.float32]]:
    """The tensors of ``expected``, as float32, in its order. What the loss has of its own is left aside.

    Weights of a network also fit the form that ``netdsl convert`` made of it.

    Raises one UserError that lists every missing, unexpected and differently shaped tensor.
    """
    candidates = {
        name: t
        for name, t in tensors.items()
        if name in expected or not (name.endswith(IGNORED_ENDINGS) or name.startswith(LOSS_PREFIX))
    }
    candidates = as_converted(candidates, expected)
    missing = [name for name in expected if name not in candidates]
    unexpected = [name for name in candidates if name not in expected]
    misfits = [
        f"`{name}` is {shape_text(candidates[name].shape)}, the network needs {shape_text(shape)}"
        for name, shape in expected.items()
        if name in candidates and candidates[name].shape != shape
    ]
    misfits += [
        f"`{name}` holds {candidates[name].dtype}, not floating-point numbers"
        for name in expected
        if name in candidates and candidates[name].dtype.kind != "f"
    ]
    if missing or unexpected or misfits:
        raise mismatch(path, missing, unexpected, misfits, list(expected))
    return {name: np.asarray(candidates[name], dtype=np.float32, order="C") for name in expected}


def mismatch(path: Path, missing: list[str], unexpected: list[str], misfits: list[str], known: list[str]) -> UserError:
    """The error that lists them all; ``known`` are the network's names."""
    notes = [*_shortened(misfits, "do not fit")]
    notes += _shortened([f"`{name}` is missing" for name in missing], "are missing")
    notes += _shortened([f"`{name}` is not in the network" for name in unexpected], "are not in the network")
    help = None
    if len(missing) == len(unexpected) == 1 and suggest(unexpected[0], known) == missing[0]:
        help = f"rename `{unexpected[0]}` to `{missing[0]}`"
    elif unexpected and len(missing) == len(known):
        help = "no name fits; these are the weights of another network"
    return UserError.of(Code.WEIGHTS_MISMATCH, f"the weights in `{path}` do not fit", notes=notes, help=help)


def _shortened(lines: list[str], what: str) -> list[str]:
    if len(lines) <= MAX_NAMED:
        return lines
    return [*lines[:MAX_NAMED], f"{len(lines) - MAX_NAMED} more {what}"]


def shape_text(shape: tuple[int, ...]) -> str:
    """``[64, 3, 7, 7]``."""
    return f"[{', '.join(map(str, shape))}]"
