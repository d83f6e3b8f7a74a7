"""``netdsl train``: a network, data, and a folder with what came of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import (
    MAX_BATCH,
    Assignment,
    Session,
    json_option,
    network_options,
    origin_of,
    print_json,
    print_warnings,
    session_of,
    target_option,
    threads_option,
)
from netdsl.cli.training import SIGNALLED, data_options, described, opened, summary_of, tell_interrupted

if TYPE_CHECKING:
    from netdsl.train.loop import Result
    from netdsl.trainer import Trainer


@click.command(
    epilog="""\b
Examples:
  netdsl train zoo:lenet5 --data digits
  netdsl train zoo:lenet5 --data digits --epochs 5 --seed 7 --out runs/try
  netdsl train zoo:lenet5 --data digits --resume
  netdsl train zoo:lenet5 --data idx:mnist --threads 2
  netdsl train net.net --set classes=3 --data folder:pets

\b
The run directory (runs/NAME, or --out) gets
  config.json            everything that was decided, resolved
  metrics.jsonl          one line a step and an epoch, as it happens
  curves.png             losses and metric
  last.safetensors       where it stands: go on with --resume
  best.safetensors       the epoch that was best on the test set
"""
)
@network_options
@data_options
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Equal seeds, equal bits."
)
@click.option("--epochs", type=click.IntRange(1, 1_000_000), metavar="N", help="Instead of the file's.")
@click.option("--batch", type=click.IntRange(1, MAX_BATCH), metavar="N", help="Instead of the file's.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run directory.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on where the run directory's `last` checkpoint stands.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="PATH", help="Start from these weights.")
@target_option
@threads_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    file: str,
    net: str | None,
    settings: tuple[Assignment, ...],
    size: tuple[int, int] | None,
    data_name: str,
    strict_data: bool,
    seed: int,
    epochs: int | None,
    batch: int | None,
    out: Path | None,
    resume: bool,
    weights: Path | None,
    target: str,
    threads: int | None,
) -> None:
    """Train a network as its `train` block says.

    Ctrl-C finishes the running step, saves, and ends with 130; --resume goes on from there bit for bit.
    """
    if resume and weights is not None:
        raise click.UsageError("--resume goes on from a checkpoint; --weights starts anew. Give one of them.")
    from netdsl import driver
    from netdsl.trainer import Trainer

    session = session_of(context)
    model = driver.load(origin_of(file, net, settings, size))
    print_warnings(session, model.warnings)
    trainer = Trainer(
        model,
        opened(session, data_name, strict_data),
        seed=seed,
        threads=threads,
        epochs=epochs,
        batch=batch,
        out=out,
        resume=resume,
        weights=weights,
        target=target,
    )
    _finish(context, session, trainer)


def _finish(context: click.Context, session: Session, trainer: Trainer) -> None:
    from netdsl.train.loop import Interrupted
    from netdsl.train.progress import reporter_for

    trainer.reporter = reporter_for()
    try:
        result = trainer.fit()
    except Interrupted as error:
        tell_interrupted(error, _resuming(session.arguments, error.run.path))
        context.exit(SIGNALLED + error.signal_number)
    if session.json:
        print_json({"net": trainer.model.name, **summary_of(result)})
    else:
        _print_result(trainer, result)


def _print_result(trainer: Trainer, result: Result) -> None:
    shares = trainer.recipe.shares()
    best = result.progress.best_epoch
    print(f"test after epoch {result.progress.epoch}: {described(result.test, shares)}")
    if best != result.progress.epoch and result.progress.best is not None and shares:
        name = trainer.recipe.metrics[0].name
        print(f"best was epoch {best}: {described({name: result.progress.best}, shares)}")
    print(f"weights  {result.run.best} (best), {result.run.last} (last)")
    print(f"curves   {result.run.curves}")
    print(f"metrics  {result.run.metrics}")


def _resuming(arguments: tuple[str, ...], run: Path) -> str:
    """The command line that goes on with an interrupted run."""
    words = ["netdsl", *(word for word in arguments if word != "--resume"), "--resume"]
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(run)]
    return shlex.join(words)
