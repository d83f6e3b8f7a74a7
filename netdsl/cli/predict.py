"""``netdsl predict``: from picture files to class names and probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import loaded, print_json, session_of
from netdsl.cli.joining import joined, with_threads
from netdsl.cli.options import WeightsChoice, build_options, json_option, network_options, weights_options
from netdsl.driver import Build, Origin

if TYPE_CHECKING:
    from netdsl.predict import Prediction

MAX_BATCH = 16


@click.command(
    epilog="""\b
Examples:
  netdsl predict zoo:lenet5 --weights runs/lenet5 digit.png
  netdsl predict zoo:lenet5 --weights runs/lenet5 --invert --trim scans/*.jpg
  netdsl predict zoo:lenet5 --weights best.safetensors --top 3 --json a.png b.png

\b
Networks trained on `digits` or MNIST know light digits on dark ground, filling the picture. For dark
ink on light paper give --invert, for a digit with space around it --trim.
"""
)
@network_options
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@weights_options
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Classes to name.")
@click.option("--invert", is_flag=True, help="Swap dark and light before looking.")
@click.option("--trim", is_flag=True, help="Cut each picture to what stands out from its ground, squared.")
@build_options(math=True)
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    images: tuple[Path, ...],
    weights: WeightsChoice,
    top: int,
    invert: bool,
    trim: bool,
    build: Build,
) -> None:
    """Name what pictures show.

    Pictures may be grey or coloured and of any size: they are brought to what the network was trained on.
    Every picture that can be read is named; others are errors, and the command ends with 1.
    """
    from netdsl.diagnostics import UserError
    from netdsl.trained import predictor

    session = session_of(context)
    ranks = joined(session)
    model = loaded(session, network)
    [trained] = weights.load(model)
    build = with_threads(replace(build, batch=min(len(images), MAX_BATCH)), ranks)
    seen, failed = predictor(trained, build, invert=invert, trim=trim).files(images, top, ranks)
    if failed and session.json:
        raise UserError(failed)
    if session.json:
        found = [prediction.to_json() for prediction in seen]
        print_json({"net": model.name, "weights": str(trained.path), "results": found})
        return
    print_predictions(seen)
    if failed:
        raise UserError(failed)


def print_predictions(predictions: list[Prediction]) -> None:
    """One line a picture: its file, then classes with probabilities."""
    width = max((len(str(prediction.path)) for prediction in predictions), default=0)
    for prediction in predictions:
        ranked = "   ".join(f"{name} {100 * value:5.1f}%" for name, value in prediction.ranked)
        print(f"{prediction.path!s:{width}}   {ranked}")
