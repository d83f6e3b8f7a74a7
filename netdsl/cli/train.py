"""``netdsl train``: a network, data, and a folder with what came of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from netdsl.cli import trials
from netdsl.cli.common import Session, loaded, print_json, session_of
from netdsl.cli.inspecting import inspect_options, inspected, print_inspection
from netdsl.cli.options import (
    MAX_BATCH,
    DataChoice,
    build_options,
    data_option,
    data_options,
    json_option,
    network_options,
    seed_option,
    start_weights_option,
    train_batch_option,
    workers_option,
)
from netdsl.cli.training import SIGNALLED, described, summary_of, tell_interrupted
from netdsl.driver import Build, Origin

if TYPE_CHECKING:
    from netdsl.train.inspection import Looks
    from netdsl.train.loop import Result
    from netdsl.trainer import Trainer
    from netdsl.weights.transfer import Transfer


_STARTS = ("--weights", "--init", "--match", "--reset")
"""Options with a value that only the first start of a training takes."""


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
@click.option("--resume", is_flag=True, help="Go on where the run directory's `last` checkpoint stands.")
@start_weights_option
@click.option(
    "--init",
    "path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Start from these weights, as far as --reset and --partial say, and tell what was taken.",
)
@click.option(
    "--match", type=click.Choice(("name", "order")), default="name", show_default=True, help="How --init finds tensors."
)
@click.option("--reset", multiple=True, metavar="PATTERN", help="Parameters that --init leaves as they begin.")
@click.option("--partial", is_flag=True, help="--init takes what fits; what doesn't is no error.")
@click.option("--freeze", multiple=True, metavar="PATTERN", help="Parameters that stay as they are: 'layer1.*'.")
@click.option(
    "--lr",
    "rates",
    multiple=True,
    type=RateParameter(),
    metavar="PATTERN=FACTOR",
    help="A factor on the learning rate of parameters: 'fc.*=10'.",
)
@click.option(
    "--checkpoint-every",
    "every",
    type=click.FloatRange(0, 1e9, min_open=True),
    metavar="SECONDS",
    help="Save `last` in the middle of epochs too.",
)
@click.option(
    "--keep",
    type=click.IntRange(0, 1_000_000),
    default=0,
    metavar="N",
    help="Keep the checkpoints of the latest N epochs too.",
)
@click.option("--dry-run", type=click.IntRange(1, 1_000_000), metavar="N", help="Take N steps and write nothing.")
@click.option(
    "--overfit",
    type=click.IntRange(1, MAX_BATCH),
    metavar="N",
    help="Check that the network can learn: the same N samples, until their loss has fallen to a third.",
)
@click.option(
    "--nan-check",
    is_flag=True,
    help="Look at all weights after each step; name the first node, step and samples that are not finite.",
)
@inspect_options
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
    resume: bool,
    weights: Path | None,
    path: Path | None,
    match: Literal["name", "order"],
    reset: tuple[str, ...],
    partial: bool,
    freeze: tuple[str, ...],
    rates: tuple[tuple[str, float], ...],
    every: float | None,
    keep: int,
    dry_run: int | None,
    overfit: int | None,
    nan_check: bool,
    looks: Looks | None,
    build: Build,
    workers: int | None,
) -> None:
    """Train a network as its `train` block says.

    Ctrl-C finishes the running step, saves, and ends with 130; --resume goes on from there bit for bit.
    """
    _check_start(resume, weights, path, bool(reset) or partial or match != "name")
    if overfit is not None and (dry_run or resume or weights or path):
        raise click.UsageError("--overfit starts from new weights, and ends by itself.")
    if looks is not None and (overfit is not None or dry_run is not None):
        raise click.UsageError("--inspect writes to the run directory; --dry-run and --overfit have none.")
    from netdsl.train.saving import Saving
    from netdsl.trainer import Initial, Trainer

    session = session_of(context)
    model = loaded(session, network)
    opened = data.open(session)
    if overfit is not None:
        trials.overfit(session, model, opened, build, overfit, seed=seed, freeze=freeze, rates=dict(rates))
        return
    trainer = Trainer(
        model,
        opened,
        seed=seed,
        threads=build.threads,
        epochs=epochs,
        batch=batch,
        out=out,
        resume=resume,
        weights=weights,
        initial=Initial(path, match, reset, partial) if path is not None else None,
        freeze=freeze,
        rates=dict(rates),
        target=build.target,
        workers=workers,
        saving=Saving(every, keep),
        nan_check=nan_check,
        looks=looks,
        command=session.arguments,
    )
    if trainer.transfer is not None:
        _tell_transfer(trainer.transfer)
    if dry_run is not None:
        trials.rehearse(session, trainer, dry_run)
    else:
        _finish(context, session, trainer)


def _check_start(resume: bool, weights: Path | None, init: Path | None, about_init: bool) -> None:
    """Raises a usage error where two starts are named, or none and yet how to take it."""
    named = [name for name, given in (("--resume", resume), ("--weights", weights), ("--init", init)) if given]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} are different starts. Give one of them.")
    if about_init and init is None:
        raise click.UsageError("--reset, --partial and --match say how --init takes weights; give that too.")


def _tell_transfer(found: Transfer) -> None:
    """What was taken, and each tensor that was not."""
    from netdsl.weights.transfer import Outcome

    print(f"init {found.path}: {found.summary()}", file=sys.stderr)
    for entry in found.entries:
        if entry.outcome is not Outcome.TAKEN or entry.parameter != entry.tensor:
            print(f"  {entry.line()}", file=sys.stderr)


def _finish(context: click.Context, session: Session, trainer: Trainer) -> None:
    from netdsl.train.loop import Interrupted
    from netdsl.train.progress import reporter_for

    trainer.reporter = reporter_for()
    from netdsl.diagnostics import NumericFailure

    try:
        result = trainer.fit()
    except NumericFailure:
        if trainer.run.failed.is_file():
            print(f"take this step again with: netdsl replay {shlex.quote(str(trainer.run.path))}", file=sys.stderr)
        raise
    except Interrupted as error:
        tell_interrupted(error, _resuming(session.arguments, error.run.path))
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


def _resuming(arguments: tuple[str, ...], run: Path) -> str:
    """The command line that goes on with an interrupted run."""
    words = ["netdsl", *_without_start(arguments), "--resume"]
    if not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(run)]
    return shlex.join(words)


def _without_start(arguments: tuple[str, ...]) -> Iterator[str]:
    """The words that say nothing of where a training starts."""
    words = iter(arguments)
    for word in words:
        if word in _STARTS:
            next(words, None)
        elif word not in ("--resume", "--partial") and not word.startswith(tuple(f"{name}=" for name in _STARTS)):
            yield word
