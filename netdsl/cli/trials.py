"""What `netdsl train` does with `--dry-run` and `--overfit`: some steps of which nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from netdsl.cli.common import Session, print_json

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.driver import Build
    from netdsl.elaborate import Model
    from netdsl.trainer import Trainer


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
) -> None:
    """Learn some samples by heart, and print how it went."""
    from netdsl.trainer import overfit_check

    found = overfit_check(model, data, build, samples=samples, seed=seed, freeze=freeze, rates=rates)
    if session.json:
        print_json({"net": model.name, "data": data.name, **asdict(found)})
    else:
        print(f"the loss of {found.samples} samples fell from {found.first:.4g} to {found.last:.4g}", end="")
        print(f" in {found.steps} steps: the network can learn")
