"""What `test_mpi.py` lets several ranks do: `python -m mpi4py rank_program.py FOLDER`; results are left there."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from training_nets import colour_data, colour_recipe

from netdsl.driver import Build
from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.exchange import PIECE, SMALL, add_in_order
from netdsl.train.loop import Interrupted, Loop
from netdsl.train.ranks import Ranks, Several, here
from netdsl.train.recipe import Recipe
from netdsl.train.run_directory import RunDirectory
from netdsl.trainer import compiler_for
from netdsl.updates import UpdateRule

RECIPE = {"batch": 5, "epochs": 2, "rule": UpdateRule(clip_norm=0.5)}
SIZES = (1, 7, SMALL, SMALL + 1, PIECE // 64 + 3)


def parts(rank: int) -> list[Any]:
    """Numbers whose float32 sum depends on the order."""
    random = np.random.default_rng(rank)
    return [(random.standard_normal(size) * 10.0 ** random.integers(-3, 4, size)).astype(np.float32) for size in SIZES]


def loop(folder: Path, ranks: Ranks, *, sync_bn: bool, resume: bool = False) -> Loop:
    recipe: Recipe = colour_recipe(**RECIPE)
    run = RunDirectory.open(folder) if resume else RunDirectory.new(folder)
    ranks.directory(run).make()
    checkpoint = load_checkpoint(run.last) if resume else None
    compiler = compiler_for(Build(threads=1))
    return Loop(
        recipe, colour_data(), compiler, run, seed=3, checkpoint=checkpoint, workers=1, ranks=ranks, sync_bn=sync_bn
    )


def stopped(folder: Path, ranks: Ranks) -> None:
    """Train until the last rank alone is asked to stop, in the middle of an epoch; then go on."""
    first = loop(folder, ranks, sync_bn=False)
    advance, steps = first._advance, []

    def counted(batch: Any) -> tuple[float, float]:
        steps.append(1)
        if len(steps) == 3 and ranks.number == ranks.count - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(batch)

    first._advance = counted  # type: ignore[method-assign]
    try:
        first.fit()
        raise AssertionError("nobody stopped")
    except Interrupted as error:
        assert error.progress.step == 3, error.progress
    ranks.texts("the leading one has saved")
    loop(folder, ranks, sync_bn=False, resume=True).fit()


def main(folder: Path) -> None:
    ranks = here()
    assert isinstance(ranks, Several)
    for number, mine in enumerate(parts(ranks.number)):
        add_in_order(ranks.world, mine, lambda request: request.Wait())
        np.save(folder / f"sum-{number}-{ranks.number}.npy", mine)
    loop(folder / "own", ranks, sync_bn=False).fit()
    loop(folder / "again", ranks, sync_bn=False).fit()
    loop(folder / "together", ranks, sync_bn=True).fit()
    stopped(folder / "stopped", ranks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
