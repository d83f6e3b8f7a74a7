"""`netdsl train --inspect`: when to look into the layers, and what is told of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from netdsl.cli.options import gathered

if TYPE_CHECKING:
    from netdsl.train.inspection import Looks
    from netdsl.trainer import Trainer


class _Numbers(click.ParamType[tuple[int, ...]]):
    """``1,10,100``: whole numbers from 1 on."""

    name = "numbers"

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = value.split(",")
        if not all(re.fullmatch(r"[1-9][0-9]{0,11}", word) for word in words):
            self.fail(f"{value!r} is no list of numbers from 1 on, such as 1,10,100", param, ctx)
        return tuple(map(int, words))


def _looks(
    inspect: bool, inspect_steps: tuple[int, ...] | None, inspect_epochs: tuple[int, ...] | None
) -> Looks | None:
    if not inspect and inspect_steps is None and inspect_epochs is None:
        return None
    from netdsl.train.inspection import Looks

    return Looks(inspect_steps or (), inspect_epochs or ())


inspect_options = gathered(
    "looks",
    _looks,
    {
        "inspect": click.option(
            "--inspect",
            is_flag=True,
            help="Look into each layer at the first step and at the last of each epoch: gradients, weights, updates, "
            "activations, dead units. The training stays the same bit for bit.",
        ),
        "inspect_steps": click.option(
            "--inspect-steps", type=_Numbers(), metavar="N,N,...", help="Look at these steps instead."
        ),
        "inspect_epochs": click.option(
            "--inspect-epochs",
            type=_Numbers(),
            metavar="N,N,...",
            help="Look at the last step of these epochs instead.",
        ),
    },
)
"""``--inspect``, ``--inspect-steps`` and ``--inspect-epochs``: ``looks``, a `Looks` or None."""


def inspected(trainer: Trainer) -> dict[str, Any]:
    """Where inspections are, and the dead units of the latest; nothing of a training that was not inspected."""
    from netdsl.train.inspection import dead

    latest = trainer.run.inspected()[-1:] if trainer.inspects else []
    if not latest:
        return {}
    units = [{"layer": name, "dead": count, "units": units} for name, count, units in dead(latest[0]["layers"])]
    return {"inspection": {"records": str(trainer.run.inspections), "step": latest[0]["step"], "dead": units}}


def print_inspection(trainer: Trainer) -> None:
    """Where to look, and dead units."""
    found = inspected(trainer).get("inspection")
    if found is None:
        return
    print(f"inspect  {trainer.run.inspections_picture}, {found['records']}")
    for item in found["dead"]:
        print(f"dead     {item['layer']}: {item['dead']} of {item['units']} units gave only 0 at step {found['step']}")
