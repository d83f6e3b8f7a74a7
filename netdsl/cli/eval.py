"""``netdsl eval``: loss and metrics of a trained network on a data set's test part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import (
    Assignment,
    batch_option,
    json_option,
    network_options,
    origin_of,
    print_json,
    print_warnings,
    session_of,
    target_option,
    threads_option,
)
from netdsl.cli.training import data_options, described, opened, weights_option

if TYPE_CHECKING:
    from netdsl.data import Data
    from netdsl.trained import Measured


@click.command(
    epilog="""\b
Examples:
  netdsl eval zoo:lenet5 --weights runs/lenet5 --data digits
  netdsl eval zoo:lenet5 --weights runs/lenet5/last.safetensors --data digits --confusion
  netdsl eval zoo:lenet5 --weights best.safetensors --data idx:mnist --json
"""
)
@network_options
@weights_option
@data_options
@click.option("--confusion", is_flag=True, help="Also count each true class by what it was taken for.")
@batch_option(64)
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
    weights: Path,
    data_name: str,
    strict_data: bool,
    confusion: bool,
    batch: int,
    target: str,
    threads: int | None,
) -> None:
    """Measure a trained network on a data set.

    Loss and metrics are those of the file's `train` block; every sample of the test part counts exactly once.
    """
    from netdsl import driver
    from netdsl.train.from_spec import recipe_of
    from netdsl.trained import load_trained, measure

    session = session_of(context)
    model = driver.load(origin_of(file, net, settings, size))
    print_warnings(session, model.warnings)
    trained = load_trained(model, weights)
    data = opened(session, data_name, strict_data)
    measured = measure(trained, data, driver.Build(target=target, batch=batch, threads=threads))
    if session.json:
        print_json(
            {
                "net": model.name,
                "weights": str(trained.path),
                "data": data.name,
                "samples": measured.samples,
                "test": dict(measured.test),
                "classes": list(data.classes),
                "confusion": None if measured.confusion is None else measured.confusion.tolist(),
            }
        )
        return
    print(f"{described(measured.test, recipe_of(model).shares())}  ({measured.samples} samples of {data.name})")
    if confusion:
        _print_confusion(measured, data)


def _print_confusion(measured: Measured, data: Data) -> None:
    if measured.confusion is None:
        raise click.UsageError("the `train` block has no metric that ranks classes.")
    width = max(5, *(len(name) for name in data.classes), *(len(str(n)) for n in measured.confusion.flat)) + 1
    print("\nrows: true class, columns: taken for")
    print(" " * width + "".join(f"{name:>{width}}" for name in data.classes))
    for name, row in zip(data.classes, measured.confusion, strict=True):
        print(f"{name:>{width}}" + "".join(f"{count or '.':>{width}}" for count in row))
