"""``netdsl demo``: the whole way once, on real digits, in under a minute."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.options import build_options
from netdsl.cli.predict import print_predictions
from netdsl.cli.training import SIGNALLED, described, tell_interrupted

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.driver import Build
    from netdsl.elaborate import Model
    from netdsl.train.run_directory import RunDirectory
    from netdsl.trained import Trained

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
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of the training.")
@build_options()
@click.pass_context
def command(context: click.Context, out: Path | None, seed: int, build: Build) -> None:
    """Train LeNet-5 on handwritten digits and read some, in under a minute.

    Reports the network, trains it on 1,437 real digits, measures it on 360 others, writes ten of those as
    picture files and reads them back.
    """
    from netdsl import driver
    from netdsl.data import open_data
    from netdsl.train.loop import Interrupted
    from netdsl.train.run_directory import RunDirectory
    from netdsl.trained import load_trained

    model, data = driver.load(driver.Origin(NETWORK)), open_data(DATA)
    build = replace(build, batch=10)
    run = RunDirectory.fresh(Path(), NAME) if out is None else RunDirectory.new(out)
    run.make()  # a place that cannot be written should show before the work
    try:
        _print_report(model, build)
        _train(model, data, build, run, seed)
    except Interrupted as error:
        tell_interrupted(error, f"netdsl train {NETWORK} --data {DATA} --seed {seed} --resume --out {run.path}")
        context.exit(SIGNALLED + error.signal_number)
    finally:
        run.remove_if_empty()
    trained = load_trained(model, run.last)
    _print_test(trained, data, build)
    _print_reading(trained, build, _write_pictures(run.path / "digits", data))
    _print_written(run.path)


def _train(model: Model, data: Data, build: Build, run: RunDirectory, seed: int) -> None:
    from netdsl.train.progress import reporter_for
    from netdsl.trainer import Trainer

    _title(f"Training on {len(data.train):,} handwritten digits")
    Trainer(
        model,
        data,
        seed=seed,
        threads=build.threads,
        target=build.target,
        out=run.path,
        reporter=reporter_for(),
    ).fit()


def _title(text: str) -> None:
    """A heading on stdout, after what stderr has so far."""
    sys.stderr.flush()
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def _print_report(model: Model, build: Build) -> None:
    from netdsl import driver
    from netdsl.report.text import plain_report, print_rich

    _title(f"The network: netdsl report {NETWORK}")
    report = driver.report(model, replace(build, batch=1))
    if sys.stdout.isatty():
        print_rich(report)
    else:
        sys.stdout.write(plain_report(report))


def _print_test(trained: Trained, data: Data, build: Build) -> None:
    from netdsl.train.from_spec import recipe_of
    from netdsl.trained import measure

    measured = measure(trained, data, build)
    _title(f"Measured on {measured.samples} digits kept apart")
    print(described(measured.test, recipe_of(trained.model).shares()))


def _write_pictures(folder: Path, data: Data) -> list[tuple[Path, str]]:
    """The first test sample of each class as a picture file, with its class name."""
    from netdsl.data.picture import write_picture
    from netdsl.data.resize import resize
    from netdsl.weights.atomic import not_writable

    written = []
    targets = data.test.targets.tolist()
    try:
        folder.mkdir(exist_ok=True)
        for number, name in enumerate(data.classes):
            image = resize(data.test.image(targets.index(number)), PICTURE_SIDE, PICTURE_SIDE)
            path = folder / f"a_{name}.png"
            write_picture(path, image)
            written.append((path, name))
    except OSError as error:
        raise not_writable(folder, error) from error
    return written


def _print_reading(trained: Trained, build: Build, pictures: list[tuple[Path, str]]) -> None:
    from netdsl.diagnostics import UserError
    from netdsl.trained import predictor

    _title(f"Read from {len(pictures)} picture files")
    seen, failed = predictor(trained, build).files([path for path, _ in pictures], 2)
    if failed:
        raise UserError(failed)
    print_predictions(seen)
    right = sum(prediction.ranked[0][0] == name for prediction, (_, name) in zip(seen, pictures, strict=True))
    print(f"{right} of {len(seen)} right")


def _print_written(run: Path) -> None:
    _title(f"Written to {run}{os.sep}")
    for name, what in (
        ("best.safetensors", "weights of the best epoch"),
        ("last.safetensors", "where training stands"),
        ("curves.png", "losses and accuracy"),
        ("metrics.jsonl", "the same as numbers"),
        ("config.json", "everything that was decided"),
        ("digits", "the picture files"),
    ):
        print(f"  {run / name!s:{len(str(run)) + 18}}  {what}")
    _title("Try next")
    print(f"  netdsl predict {NETWORK} --weights {run} {run / 'digits' / 'a_7.png'}")
    print(f"  netdsl eval {NETWORK} --weights {run} --data {DATA} --confusion")
    print("  netdsl report zoo:resnet50")
