"""``netdsl lr-find``: a learning rate to begin with, and the curve it was read from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import check_suffix, loaded, print_json, session_of, write_figure
from netdsl.cli.options import (
    DataChoice,
    build_options,
    data_option,
    data_options,
    json_option,
    network_options,
    seed_option,
    start_weights_option,
    train_batch_option,
)
from netdsl.driver import Build, Origin

if TYPE_CHECKING:
    from netdsl.train.find_rate import RateCurve


@click.command(
    "lr-find",
    epilog="""\b
Examples:
  netdsl lr-find zoo:lenet5 --data digits
  netdsl lr-find zoo:lenet5 --data digits -o rates.svg
  netdsl lr-find net.net --data folder:pets --from 1e-6 --to 0.1 --json
""",
)
@network_options
@data_options(data_option)
@click.option("--from", "low", type=click.FloatRange(0, min_open=True), default=1e-5, show_default=True, metavar="RATE")
@click.option("--to", "high", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, metavar="RATE")
@click.option("--updates", type=click.IntRange(8, 100_000), default=100, show_default=True, metavar="N")
@seed_option
@train_batch_option
@start_weights_option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Draw the curve, .svg or .png.")
@build_options()
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    data: DataChoice,
    low: float,
    high: float,
    updates: int,
    seed: int,
    batch: int | None,
    weights: Path | None,
    output: Path | None,
    build: Build,
) -> None:
    """Find a learning rate to begin with.

    Trains from fresh weights while the rate rises by the same factor with every update, until the loss runs away. Where
    the loss falls fastest is a good rate to begin with. Nothing is kept of the training.
    """
    if low >= high:
        raise click.UsageError("--from is less than --to.")
    if output is not None:
        check_suffix("-o", output)
    from netdsl.trainer import rate_curve

    session = session_of(context)
    model = loaded(session, network)
    opened = data.open(session)
    curve = rate_curve(
        model, opened, build, low=low, high=high, updates=updates, seed=seed, batch=batch, weights=weights
    )
    if output is not None:
        from netdsl.train.rate_figure import rate_figure

        write_figure(output, rate_figure(curve, model.name))
    if session.json:
        print_json({"net": model.name, "data": opened.name, **asdict(curve)})
    else:
        _print(curve, model.train.optimizer.arguments["lr"] if model.train else None)


def _print(curve: RateCurve, said: float | None) -> None:
    print(f"learning rate  {curve.suggested:.2g}")
    print(f"the loss falls fastest there, and is lowest at {curve.lowest:.2g}", end="")
    print(f"; it runs away by {curve.points[-1].rate:.2g}" if curve.diverged else "")
    if said is not None:
        print(f"the file says  {said:g}")
