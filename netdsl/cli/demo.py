"""``netdsl demo``: the whole way once, on real digits, in under a minute."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from netdsl.cli.common import session_of, target_option, threads_option
from netdsl.cli.training import described, tell_interrupted

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.elaborate import Model
    from netdsl.trained import Trained
    from netdsl.train.loop import Result

NETWORK = "zoo:lenet5"
DATA = "digits"
NAME = "netdsl-demo"
PICTURE_SIDE = 128


@click.command(
    epilog="""\b
Examples:
  netdsl demo
  netdsl demo --out somewhere --threads 1
"""
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help=f"Where to write.  [default: {NAME}]")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Equal seeds, equal bits.")
@target_option
@threads_option
@click.pass_context
def command(context: click.Context, out: Path | None, seed: int, target: str, threads: int | None) -> None:
    """Train LeNet-5 on handwritten digits and read some, in under a minute.

    Reports the network, trains it on 1,437 real digits, measures it on 360 others, writes ten of those as
    picture files and reads them back.
    """
    from netdsl import driver
    from netdsl.data import open_data
    from netdsl.train.loop import Interrupted
    from netdsl.train.progress import reporter_for
    from netdsl.train.run_directory import RunDirectory
    from netdsl.trained import load_trained
    from netdsl.trainer import Trainer

    model, data = driver.load(driver.Origin(NETWORK)), open_data(DATA)
    build = driver.Build(target=target, threads=threads)
    run = RunDirectory.fresh(Path(), NAME) if out is None else RunDirectory.new(out)
    run.make()
    _print_report(model, build)
    _title(f"Training on {len(data.train):,} handwritten digits")
    trainer = Trainer(
        model, data, seed=seed, threads=threads, target=target, out=run.path, reporter=reporter_for()
    )
    try:
        result = trainer.fit()
    except Interrupted as error:
        tell_interrupted(error, f"netdsl train {NETWORK} --data {DATA} --seed {seed} --resume --out {run.path}")
        context.exit(130)
    trained = load_trained(model, run.path)
    _print_test(trained, data, build, result)
    _print_reading(trained, build, _write_pictures(run.path / "digits", data))
    _print_written(run.path)


def _title(text: str) -> None:
    """A heading on stdout, after what stderr has so far."""
    sys.stderr.flush()
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def _print_report(model: Model, build: object) -> None:
    from netdsl.report.model import build_report
    from netdsl.report.text import plain_report, print_rich

    print(f"$ netdsl report {NETWORK}\n")
    report = build_report(model)
    if sys.stdout.isatty():
        print_rich(report)
    else:
        sys.stdout.write(plain_report(report))
