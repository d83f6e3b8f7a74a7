"""Shared by the verbs that train and use trained nets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netdsl.cli.common import Session, print_warnings

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.train.loop import Interrupted, Result

Function = TypeVar("Function", bound=Callable[..., Any])
SIGNALLED = 128
"""The exit code after a signal, less the signal's number: 130 after Ctrl-C."""


def data_options(function: Function) -> Function:
    """``--data`` and ``--strict-data``."""
    for option in (
        click.option("--strict-data", is_flag=True, help="A data file that cannot be read is an error, not a warning."),
        click.option(
            "--data",
            "data_name",
            required=True,
            metavar="DATA",
            help="`digits` (1,797 handwritten digits that come along), `shapes` (drawn from a seed), `idx:DIR` (the "
            "MNIST format), `cifar10:DIR`, `cifar100:DIR`, `folder:DIR` (a folder of pictures a class), `csv:FILE`, "
            "`voc:DIR`, `voc-masks:DIR` or `coco:DIR`.",
        ),
    ):
        function = option(function)
    return function


def weights_option(function: Function) -> Function:
    """``--weights``: a safetensors file, or a run directory."""
    return click.option(
        "--weights",
        required=True,
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="A safetensors file, or a run directory (its `best`).",
    )(function)


def ema_option(function: Function) -> Function:
    """``--ema``: the averaged weights."""
    return click.option(
        "--ema", "averaged", is_flag=True, help="The averaged weights, which `ema` of a `train` block keeps."
    )(function)


def opened(session: Session, name: str, strict: bool) -> Data:
    """The data set, its warnings printed."""
    from netdsl.data import open_data

    data = open_data(name, strict=strict)
    print_warnings(session, data.warnings)
    return data


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
