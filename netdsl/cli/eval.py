"""``netdsl eval``: loss and metrics of a trained network on a data set's test part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import (
    Assignment,
    batch_option,
    json_option,
    math_option,
    network_options,
    origin_of,
    print_json,
    print_warnings,
    session_of,
    target_option,
    threads_option,
)
from netdsl.cli.training import data_options, described, ema_option, opened, weights_option

COUNTS = (1, 2, 5, 9, 10, 18, 25, 50)
"""Those of netdsl.data.views, which is imported later."""

if TYPE_CHECKING:
    from netdsl.trained import Measured


@click.command(
    epilog="""\b
Examples:
  netdsl eval zoo:lenet5 --weights runs/lenet5 --data digits
  netdsl eval zoo:lenet5 --weights runs/lenet5/last.safetensors --data digits --confusion
  netdsl eval zoo:lenet5 --weights best.safetensors --data idx:mnist --json
  netdsl eval zoo:lenet5 --data digits --weights runs/lenet5 runs/lenet5-2 runs/lenet5-3
  netdsl eval zoo:shapes_cnn --weights runs/shapescnn --data shapes --crops 10

\b
Of several networks, and of several looks at a picture, the mean of the probabilities is measured (without the
loss). --crops: 5 are the corners and the centre, 9 and 25 a grid, 2, 10, 18 and 50 with mirror images.
"""
)
@network_options
@click.argument("further", metavar="[WEIGHTS]...", nargs=-1, type=click.Path(path_type=Path))
@weights_option
@ema_option
@data_options
@click.option(
    "--crops", type=click.Choice([str(count) for count in COUNTS]), default="1", show_default=True, metavar="N",
    help=f"Windows of each picture to look at: {', '.join(map(str, COUNTS))}.",
)  # fmt: skip
@click.option("--confusion", is_flag=True, help="Also count each true class by what it was taken for.")
@batch_option(64)
@target_option
@threads_option
@math_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    file: str,
    net: str | None,
    settings: tuple[Assignment, ...],
    size: tuple[int, int] | None,
    further: tuple[Path, ...],
    weights: Path,
    averaged: bool,
    data_name: str,
    strict_data: bool,
    crops: str,
    confusion: bool,
    batch: int,
    target: str,
    threads: int | None,
    exact: bool,
) -> None:
    """Measure a trained network on a data set.

    Loss and metrics are those of the file's `train` block; every sample of the test part counts exactly once.
    """
    from netdsl import driver
    from netdsl.train.from_spec import recipe_of
    from netdsl.trained import load_trained, measure, measure_together

    session = session_of(context)
    model = driver.load(origin_of(file, net, settings, size))
    print_warnings(session, model.warnings)
    trained = [load_trained(model, path, averaged=averaged) for path in (weights, *further)]
    data = opened(session, data_name, strict_data)
    build = driver.Build(target=target, batch=batch, threads=threads, exact=exact)
    alone = len(trained) == 1 and crops == "1"
    measured = measure(trained[0], data, build) if alone else measure_together(trained, data, build, crops=int(crops))
    if session.json:
        print_json(
            {
                "net": model.name,
                "weights": str(trained[0].path),
                "members": [str(one.path) for one in trained],
                "crops": int(crops),
                "data": data.name,
                "samples": measured.samples,
                "test": dict(measured.test),
                "classes": list(measured.names or data.classes),
                "confusion": None if measured.confusion is None else measured.confusion.tolist(),
            }
        )
        return
    how = [f"{len(trained)} networks"] * (len(trained) > 1) + [f"{crops} looks at each"] * (crops != "1")
    what = ", ".join([f"{measured.samples} samples of {data.name}", *how])
    print(f"{described(measured.test, recipe_of(model).shares())}  ({what})")
    if confusion:
        _print_confusion(measured)


def _print_confusion(measured: Measured) -> None:
    if measured.confusion is None:
        raise click.UsageError("the `train` block has no metric that ranks classes.")
    width = max(5, *(len(name) for name in measured.names), *(len(str(n)) for n in measured.confusion.flat)) + 1
    print("\nrows: true class, columns: taken for")
    print(" " * width + "".join(f"{name:>{width}}" for name in measured.names))
    for name, row in zip(measured.names, measured.confusion, strict=True):
        print(f"{name:>{width}}" + "".join(f"{count or '.':>{width}}" for count in row))
