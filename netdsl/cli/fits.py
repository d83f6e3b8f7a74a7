"""``netdsl report --fits``: the largest batch for an amount of memory."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, print_json
from netdsl.cli.options import MAX_BATCH, Option, gathered
from netdsl.driver import Build, largest_batch, recomputation
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.elaborate import Model

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_bytes(text: str, option: str = "--fits") -> int:
    """``8GiB``, ``500MB`` or ``0.5GiB``, given to ``option``, as bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]+)", text)
    units = {name.lower(): size for name, size in _UNITS.items()}
    if not found or found[2].lower() not in units:
        raise click.UsageError(f"{option}: `{text}` is not an amount such as 8GiB; units: {', '.join(_UNITS)}.")
    return int(float(found[1]) * units[found[2].lower()])


BUDGET = "--checkpoint-activations"


def _parse_budget(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    return None if text is None else parse_bytes(text, BUDGET)


def budget_option(help: str) -> Option:
    """``--checkpoint-activations SIZE``: the parameter ``memory``, in bytes."""
    return click.option(BUDGET, "memory", metavar="SIZE", callback=_parse_budget, help=help)


@record
class FitQuestion:
    """``--fits`` and ``--training``; nothing is asked where ``amount`` is None."""

    amount: str | None
    training: bool

    def check(self) -> None:
        """Raises UsageError for what is no amount, and for an option of a question not asked."""
        if self.amount is not None:
            parse_bytes(self.amount)
        elif self.training:
            raise click.UsageError("--training belongs to --fits.")


fit_options = gathered(
    "fit",
    FitQuestion,
    {
        "amount": click.option(
            "--fits",
            "amount",
            metavar="SIZE",
            help="Say only the largest batch whose plan fits, such as 8GiB; weights and optimizer state included.",
        ),
        "training": click.option("--training", is_flag=True, help="With --fits: of training instead of inference."),
    },
)
"""``fit``, a `FitQuestion`."""


def print_fit(session: Session, model: Model, build: Build, fit: FitQuestion) -> None:
    """The largest batch whose plan fits, weights and optimizer state included."""
    assert fit.amount is not None
    limit, build = parse_bytes(fit.amount), replace(build, training=fit.training)
    batch = largest_batch(model, build, limit, MAX_BATCH)
    kind = "training" if build.training else "inference"
    if session.json:
        print_json({"net": model.name, "fits": {"bytes": limit, "kind": kind, "target": build.target, "batch": batch}})
    elif batch:
        reached = " (the largest there is)" if batch == MAX_BATCH else ""
        print(f"{model.name}: {kind} fits {limit:,} bytes up to batch {batch:,}{reached}")
    else:
        print(f"{model.name}: {kind} does not fit {limit:,} bytes, not even at batch 1")


def print_recomputation(session: Session, model: Model, build: Build) -> None:
    """What a training step computes again to keep to ``build.memory``, and what that costs."""
    from netdsl.report.recomputation import plain_recomputation, recomputation_document

    found = recomputation(model, build)
    if session.json:
        print_json(recomputation_document(found))
    else:
        print(plain_recomputation(found), end="")
