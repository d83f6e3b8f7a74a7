"""``netdsl train``: a network, data, and a folder with what came of it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, loaded, print_json, session_of
from netdsl.cli.fits import budget_option
from netdsl.cli.inspecting import inspect_options, inspected, print_inspection
from netdsl.cli.joining import joined, started_by
from netdsl.cli.options import (
    DataChoice,
    build_options,
    data_option,
    data_options,
    json_option,
    network_options,
    saving_options,
    seed_option,
    train_batch_option,
    workers_option,
)
from netdsl.cli.starting import Start, resuming, start_options, tell_transfer
from netdsl.cli.training import SIGNALLED, described, summary_of, tell_interrupted
from netdsl.cli.trials import Trial, overfit, rehearse, trial_options
from netdsl.driver import Build, Origin

if TYPE_CHECKING:
    from netdsl.train.inspection import Looks
    from netdsl.train.loop import Result
    from netdsl.train.progress import Reporter
    from netdsl.train.saving import Saving
    from netdsl.trainer import Trainer


class RateParameter(click.ParamType[tuple[str, float]]):
    """``PATTERN=FACTOR``."""

    name = "rate"

    def convert(
        self, value: str | tuple[str, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        pattern, sign, factor = value.rpartition("=")
        try:
            number = float(factor)
        except ValueError:
            number = -1.0
        if not sign or not pattern or not 0 <= number < float("inf"):
            self.fail(f"{value!r} is not PATTERN=FACTOR, such as 'fc.*=10'", param, ctx)
        return pattern, number


@click.command(
    epilog="""\b
Examples:
  netdsl train zoo:lenet5 --data digits
  netdsl train zoo:lenet5 --data digits --epochs 5 --seed 7 --out runs/try
  netdsl train zoo:lenet5 --data digits --resume
  netdsl train zoo:lenet5 --data idx:mnist --threads 2
  netdsl train net.net --set classes=3 --data folder:pets
  netdsl train zoo:shapes_cnn --data shapes
  netdsl train zoo:lenet5 --data digits --overfit 32
  netdsl train zoo:lenet5 --data digits --dry-run 10 --nan-check
  netdsl train zoo:lenet5 --data digits --inspect-steps 1,10,100
  netdsl train zoo:lenet5 --data digits --init runs/mnist --reset 'fc*' --freeze 'conv*'

\b
The run directory (runs/NAME, or --out) gets
  config.json            everything that was decided, resolved
  metrics.jsonl          one line a step and an epoch, as it happens
  curves.png, curves.svg losses and metric
  confusion.png          at the end: which class was taken for which
  failed.safetensors     before a step that is not finite, with --nan-check: see netdsl replay
  tensorboard/           the same for TensorBoard, with --tensorboard: tensorboard --logdir runs
  inspect.jsonl, .svg    gradients, weights and activations of each layer, with --inspect
  mistakes.png           at the end: the test samples that were mistaken most surely
  last.safetensors       where it stands: go on with --resume
  epoch-0007.safetensors the latest epochs', with --keep
  best.safetensors       the epoch that was best on the test set
"""
)
@network_options
@data_options(data_option)
@seed_option
@click.option("--epochs", type=click.IntRange(1, 1_000_000), metavar="N", help="Instead of the file's.")
@train_batch_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run directory.  [default: runs/NAME]")
@start_options
@click.option("--freeze", multiple=True, metavar="PATTERN", help="Parameters that stay as they are: 'layer1.*'.")
@click.option(
    "--lr",
    "rates",
    multiple=True,
    type=RateParameter(),
    metavar="PATTERN=FACTOR",
    help="A factor on the learning rate of parameters: 'fc.*=10'.",
)
@saving_options
@trial_options
@click.option(
    "--nan-check",
    is_flag=True,
    help="Look at all weights after each step; name the first node, step and samples that are not finite.",
)
@click.option(
    "--sync-bn",
    is_flag=True,
    help="With several processes: batch normalization over the samples of all, not each one's own.",
)
@inspect_options
@click.option(
    "--tensorboard",
    is_flag=True,
    help="Write logs for TensorBoard into the run directory too; needs `netdsl[tensorboard]`.",
)
@budget_option(
    "Bytes a step may take, weights and optimizer state included, such as 8GiB: what does not fit is computed again "
    "where it is needed, to the same bits. See netdsl report with this option."
)
@build_options()
@workers_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    data: DataChoice,
    seed: int,
    epochs: int | None,
    batch: int | None,
    out: Path | None,
    start: Start,
    freeze: tuple[str, ...],
    rates: tuple[tuple[str, float], ...],
    saving: Saving,
    trial: Trial,
    nan_check: bool,
    sync_bn: bool,
    looks: Looks | None,
    tensorboard: bool,
    memory: int | None,
    build: Build,
    workers: int | None,
) -> None:
    """Train a network as its `train` block says.

    Ctrl-C finishes the running step, saves, and ends with 130; --resume goes on from there bit for bit.

    `mpiexec -n 2 netdsl train ...` takes each step with 2 processes, on one machine or several; the batch is that of
    all. That needs `netdsl[mpi]`.
    """
    start.check()
    trial.check(start, looks, tensorboard)
    if tensorboard:
        from netdsl.train.board import require_package

        require_package()
    from netdsl.trainer import Trainer

    session = session_of(context)
    ranks = joined(session)
    if ranks.count > 1 and trial.overfit is not None:
        raise click.UsageError("--overfit is for one process.")
    model = loaded(session, network)
    opened = data.open(session)
    if trial.overfit is not None:
        build = replace(build, memory=memory)
        overfit(session, model, opened, build, trial.overfit, seed=seed, freeze=freeze, rates=dict(rates), start=start)
        return
    trainer = Trainer(
        model,
        opened,
        seed=seed,
        threads=build.threads,
        epochs=epochs,
        batch=batch,
        out=out,
        resume=start.resume,
        weights=start.weights,
        initial=start.initial,
        freeze=freeze,
        rates=dict(rates),
        target=build.target,
        memory=memory,
        workers=workers,
        saving=saving,
        nan_check=nan_check,
        looks=looks,
        command=session.arguments,
        ranks=ranks,
        sync_bn=sync_bn,
    )
    tell_transfer(trainer.transfer)
    if trial.steps is not None:
        rehearse(session, trainer, trial.steps)
    else:
        trainer.reporter = _reporter(trainer, tensorboard and ranks.leads)
        _finish(context, session, trainer)


def _reporter(trainer: Trainer, tensorboard: bool) -> Reporter:
    from netdsl.train.progress import reporter_for

    if not tensorboard:
        return reporter_for()
    from netdsl.train.board import Board

    return Board(reporter_for(), trainer.run)


def _finish(context: click.Context, session: Session, trainer: Trainer) -> None:
    from netdsl.diagnostics import NumericFailure
    from netdsl.train.loop import Interrupted

    try:
        result = trainer.fit()
    except NumericFailure:
        if trainer.run.failed.is_file():
            print(f"take this step again with: netdsl replay {shlex.quote(str(trainer.run.path))}", file=sys.stderr)
        raise
    except Interrupted as error:
        tell_interrupted(error, started_by(session) + resuming(session.arguments, error.run.path))
        context.exit(SIGNALLED + error.signal_number)
    if session.json:
        transfer = trainer.transfer.to_json() if trainer.transfer is not None else None
        print_json({"net": trainer.model.name, **summary_of(result), "init": transfer, **inspected(trainer)})
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
    for name, path in (("classes", result.run.confusion), ("mistakes", result.run.mistakes)):
        if path.is_file():
            print(f"{name:<8} {path}")
    print(f"metrics  {result.run.metrics}")
    print_inspection(trainer)
