"""``netdsl lr-find``: a learning rate to begin with, and the curve it was read from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import (
    MAX_BATCH,
    Assignment,
    check_suffix,
    json_option,
    network_options,
    origin_of,
    print_json,
    print_warnings,
    session_of,
    target_option,
    threads_option,
    write_figure,
)
from netdsl.cli.training import data_options, opened

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
@data_options
@click.option("--from", "low", type=click.FloatRange(0, min_open=True), default=1e-5, show_default=True, metavar="RATE")
@click.option("--to", "high", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, metavar="RATE")
@click.option("--updates", type=click.IntRange(8, 100_000), default=100, show_default=True, metavar="N")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Equal seeds, equal bits."
)
@click.option("--batch", type=click.IntRange(1, MAX_BATCH), metavar="N", help="Instead of the file's.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="PATH", help="Start from these weights.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Draw the curve, .svg or .png.")
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
    low: float,
    high: float,
    updates: int,
    seed: int,
    batch: int | None,
    weights: Path | None,
    output: Path | None,
    target: str,
    threads: int | None,
) -> None:
    """Find a learning rate to begin with.

    Trains from fresh weights while the rate rises by the same factor with every update, until the loss runs away. Where
    the loss falls fastest is a good rate to begin with. Nothing is kept of the training.
    """
    if low >= high:
        raise click.UsageError("--from is less than --to.")
    if output is not None:
        check_suffix("-o", output)
    from netdsl import driver
    from netdsl.trainer import rate_curve

    session = session_of(context)
    model = driver.load(origin_of(file, net, settings, size))
    print_warnings(session, model.warnings)
    data = opened(session, data_name, strict_data)
    build = driver.Build(target=target, threads=threads)
    curve = rate_curve(model, data, build, low=low, high=high, updates=updates, seed=seed, batch=batch, weights=weights)
    if output is not None:
        from netdsl.train.rate_figure import rate_figure

        write_figure(output, rate_figure(curve, model.name))
    if session.json:
        print_json({"net": model.name, "data": data.name, **asdict(curve)})
    else:
        _print(curve, model.train.optimizer.arguments["lr"] if model.train else None)


def _print(curve: RateCurve, said: float | None) -> None:
    print(f"learning rate  {curve.suggested:.2g}")
    print(f"the loss falls fastest there, and is lowest at {curve.lowest:.2g}", end="")
    print(f"; it runs away by {curve.points[-1].rate:.2g}" if curve.diverged else "")
    if said is not None:
        print(f"the file says  {said:g}")
