"""What `netdsl train` does with `--dry-run` and `--overfit`: some steps of which nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, print_json
from netdsl.cli.options import MAX_BATCH, gathered
from netdsl.cli.starting import Start, tell_transfer
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.driver import Build
    from netdsl.elaborate import Model
    from netdsl.train.inspection import Looks
    from netdsl.trainer import Trainer


@record
class Trial:
    """``steps`` of ``--dry-run`` and samples of ``--overfit``; a training as ever where both are None."""

    steps: int | None
    overfit: int | None

    def check(self, start: Start, looks: Looks | None, tensorboard: bool) -> None:
        """Raises UsageError for what does not go together."""
        if self.overfit is not None and (self.steps or start.resume):
            raise click.UsageError("--overfit ends by itself, and goes on with nothing: no --dry-run, no --resume.")
        for name, wanted in (("--inspect", looks is not None), ("--tensorboard", tensorboard)):
            if wanted and (self.overfit is not None or self.steps is not None):
                raise click.UsageError(f"{name} writes to the run directory; --dry-run and --overfit have none.")


trial_options = gathered(
    "trial",
    Trial,
    {
        "steps": click.option(
            "--dry-run",
            "steps",
            type=click.IntRange(1, 1_000_000),
            metavar="N",
            help="Take N steps and write nothing.",
        ),
        "overfit": click.option(
            "--overfit",
            type=click.IntRange(1, MAX_BATCH),
            metavar="N",
            help="Check that the network can learn: the same N samples, until their loss has fallen to a third.",
        ),
    },
)
"""``trial``, a `Trial`."""


def rehearse(session: Session, trainer: Trainer, steps: int) -> None:
    """Take some steps, and print their losses and their speed."""
    found = trainer.rehearse(steps)
    per_second = found.samples / found.seconds if found.samples else None
    if session.json:
        print_json({"net": trainer.model.name, "losses": list(found.losses), "samples_per_second": per_second})
        return
    print(f"loss {found.losses[0]:.4f} at the first step, {found.losses[-1]:.4f} at step {steps}")
    if per_second is not None:
        print(f"{1e3 * found.seconds / (steps - 1):.1f} ms a step, {per_second:,.0f} samples/s")
    print("nothing was written")


def overfit(
    session: Session,
    model: Model,
    data: Data,
    build: Build,
    samples: int,
    *,
    seed: int,
    freeze: Sequence[str],
    rates: Mapping[str, float],
    start: Start,
) -> None:
    """Learn some samples by heart, and print how it went."""
    from netdsl.trainer import OverfitCheck

    check = OverfitCheck(model, data, freeze=freeze, rates=rates, weights=start.weights, initial=start.initial)
    tell_transfer(check.transfer)
    found = check.run(build, samples=samples, seed=seed)
    if session.json:
        init = check.transfer.to_json() if check.transfer is not None else None
        print_json({"net": model.name, "data": data.name, **asdict(found), "init": init})
    else:
        print(f"the loss of {found.samples} samples fell from {found.first:.4g} to {found.last:.4g}", end="")
        print(f" in {found.steps} steps: the network can learn")
