"""``netdsl features``: what a layer gives for each sample of a data set."""

from __future__ import annotations

from pathlib import Path

import click

from netdsl.cli.common import loaded, print_json, session_of, write_output
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
from netdsl.driver import Build, Origin


@click.command(
    epilog="""\b
Examples:
  netdsl features zoo:lenet5 --weights runs/lenet5 --data digits --layer fc2 -o fc2.npz
  netdsl features zoo:lenet5 --weights runs/lenet5 --data digits --layer conv2 --part train -o conv2.npz

\b
The file holds `features` [N, ...] in the order of the data, `targets` [N] where samples have a class, `classes` and
`layer`. In Python: numpy.load("fc2.npz")["features"]. `netdsl report FILE` lists the layers.
"""
)
@network_options
@weights_options
@data_options(data_option)
@click.option("--layer", required=True, metavar="NAME", help="The layer whose results are wanted.")
@click.option("--part", type=click.Choice(("train", "test")), default="test", show_default=True, help="Of the data.")
@click.option(
    "-o", "output", required=True, type=click.Path(path_type=Path), metavar="PATH", help="The .npz file to write."
)
@build_options(batch=64, math=True)
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    weights: WeightsChoice,
    data: DataChoice,
    layer: str,
    part: str,
    output: Path,
    build: Build,
) -> None:
    """Write what a layer of a trained network gives for each sample, without augmentation."""
    if output.suffix.lower() != ".npz":
        raise click.UsageError(f"-o writes an .npz file; `{output}` does not end so.")
    from netdsl.trained import features

    session = session_of(context)
    model = loaded(session, network)
    [trained] = weights.load(model)
    opened = data.open(session)
    found = features(trained, opened, layer, build, part=part)
    write_output(output, found.npz())
    shape = list(found.values.shape)
    if session.json:
        print_json({"net": model.name, "layer": layer, "data": opened.name, "part": part, "shape": shape})
    else:
        print(f"{layer} {shape} of the {part} part of {opened.name}: {output}")
