"""``netdsl eval``: loss and metrics of a trained network on a data set's test part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import loaded, print_json, session_of
from netdsl.cli.joining import joined, with_threads
from netdsl.cli.options import (
    DataChoice,
    WeightsChoice,
    build_options,
    data_option,
    data_options,
    json_option,
    network_options,
    weights_options,
)
from netdsl.cli.training import described
from netdsl.driver import Build, Origin

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
@weights_options
@data_options(data_option)
@click.option(
    "--crops", type=click.Choice([str(count) for count in COUNTS]), default="1", show_default=True, metavar="N",
    help=f"Windows of each picture to look at: {', '.join(map(str, COUNTS))}.",
)  # fmt: skip
@click.option("--confusion", is_flag=True, help="Also count each true class by what it was taken for.")
@build_options(batch=64, math=True)
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    further: tuple[Path, ...],
    weights: WeightsChoice,
    data: DataChoice,
    crops: str,
    confusion: bool,
    build: Build,
) -> None:
    """Measure a trained network on a data set.

    Loss and metrics are those of the file's `train` block; every sample of the test part counts exactly once.
    """
    from netdsl.train.from_spec import recipe_of
    from netdsl.trained import measure, measure_together

    session = session_of(context)
    ranks = joined(session)
    build = with_threads(build, ranks)
    model = loaded(session, network)
    trained = weights.load(model, *further)
    opened = data.open(session)
    alone = len(trained) == 1 and crops == "1"
    if alone:
        measured = measure(trained[0], opened, build, ranks)
    else:
        measured = measure_together(trained, opened, build, crops=int(crops), ranks=ranks)
    if session.json:
        print_json(
            {
                "net": model.name,
                "weights": str(trained[0].path),
                "members": [str(one.path) for one in trained],
                "crops": int(crops),
                "data": opened.name,
                "samples": measured.samples,
                "test": dict(measured.test),
                "classes": list(measured.names or opened.classes),
                "confusion": None if measured.confusion is None else measured.confusion.tolist(),
            }
        )
        return
    how = [f"{len(trained)} networks"] * (len(trained) > 1) + [f"{crops} looks at each"] * (crops != "1")
    what = ", ".join([f"{measured.samples} samples of {opened.name}", *how])
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
