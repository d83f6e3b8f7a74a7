"""How the verbs that train and use trained nets tell what came of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netdsl.train.loop import Interrupted, Result

SIGNALLED = 128
"""The exit code after a signal, less the signal's number: 130 after Ctrl-C."""


def described(metrics: Mapping[str, float], shares: Sequence[str] | frozenset[str]) -> str:
    """``loss 0.0812  top1 97.50%``."""
    from netdsl.train.progress import format_metric

    return "  ".join(format_metric(name, value, name in shares) for name, value in metrics.items())


def summary_of(result: Result) -> dict[str, Any]:
    """A finished training for machines."""
    progress = result.progress
    return {
        "run": str(result.run.path),
        "epochs": progress.epoch,
        "steps": progress.step,
        "test": dict(result.test),
        "best": {"epoch": progress.best_epoch, "weights": str(result.run.best)},
        "last": {"weights": str(result.run.last)},
    }


def tell_interrupted(error: Interrupted, command: str) -> None:
    """What was saved and how to go on. (The exit code is the caller's.)"""
    progress = error.progress
    print(
        f"\nstopped after step {progress.step} (epoch {progress.epoch + 1}); saved {error.run.last}\n"
        f"go on with: {command}",
        file=sys.stderr,
    )
