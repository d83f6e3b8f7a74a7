"""Where `netdsl train` starts from: options, what is told of weights that were taken, and how to go on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from netdsl.cli.options import gathered, start_weights_option
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.trainer import Initial
    from netdsl.weights.transfer import Transfer

_WITH_VALUE = ("--weights", "--init", "--match", "--reset")
_FLAGS = ("--resume", "--partial")


@record
class Start:
    """From a checkpoint (``resume``), from all of some ``weights``, or from as much of those at ``path`` as fits."""

    resume: bool
    weights: Path | None
    path: Path | None
    match: Literal["name", "order"]
    reset: tuple[str, ...]
    partial: bool

    def check(self) -> None:
        """Raises UsageError where two starts are named, or none and yet how to take it."""
        given = {"--resume": self.resume, "--weights": self.weights, "--init": self.path}
        named = [name for name, value in given.items() if value]
        if len(named) > 1:
            raise click.UsageError(f"{' and '.join(named)} are different starts. Give one of them.")
        if self.path is None and (self.reset or self.partial or self.match != "name"):
            raise click.UsageError("--reset, --partial and --match say how --init takes weights; give that too.")

    @property
    def initial(self) -> Initial | None:
        """What ``--init`` names."""
        from netdsl.trainer import Initial

        return None if self.path is None else Initial(self.path, self.match, self.reset, self.partial)


start_options = gathered(
    "start",
    Start,
    {
        "resume": click.option(
            "--resume", is_flag=True, help="Go on where the run directory's `last` checkpoint stands."
        ),
        "weights": start_weights_option,
        "path": click.option(
            "--init",
            "path",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="Start from these weights, as far as --reset and --partial say, and tell what was taken.",
        ),
        "match": click.option(
            "--match",
            type=click.Choice(("name", "order")),
            default="name",
            show_default=True,
            help="How --init finds tensors.",
        ),
        "reset": click.option(
            "--reset", multiple=True, metavar="PATTERN", help="Parameters that --init leaves as they begin."
        ),
        "partial": click.option("--partial", is_flag=True, help="--init takes what fits; what doesn't is no error."),
    },
)
"""``start``, a `Start`."""


def tell_transfer(found: Transfer | None) -> None:
    """What ``--init`` took, and each tensor that it did not; on stderr."""
    if found is None:
        return
    from netdsl.weights.transfer import Outcome

    print(f"init {found.path}: {found.summary()}", file=sys.stderr)
    for entry in found.entries:
        if entry.outcome is not Outcome.TAKEN or entry.parameter != entry.tensor:
            print(f"  {entry.line()}", file=sys.stderr)


def resuming(arguments: tuple[str, ...], run: Path) -> str:
    """The command line that goes on with an interrupted run."""
    words = ["netdsl", *_without_start(arguments), "--resume"]
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(run)]
    return shlex.join(words)


def _without_start(arguments: tuple[str, ...]) -> Iterator[str]:
    """The words that say nothing of where a training starts."""
    words = iter(arguments)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word not in _FLAGS and not word.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            yield word
