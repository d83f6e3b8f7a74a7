"""``netdsl features``: what a layer gives for each sample of a data set."""

from __future__ import annotations

from pathlib import Path

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
    write_output,
)
from netdsl.cli.training import data_options, ema_option, opened, weights_option


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
@weights_option
@ema_option
@data_options
@click.option("--layer", required=True, metavar="NAME", help="The layer whose results are wanted.")
@click.option("--part", type=click.Choice(("train", "test")), default="test", show_default=True, help="Of the data.")
@click.option(
    "-o", "output", required=True, type=click.Path(path_type=Path), metavar="PATH", help="The .npz file to write."
)
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
    weights: Path,
    averaged: bool,
    data_name: str,
    strict_data: bool,
    layer: str,
    part: str,
    output: Path,
    batch: int,
    target: str,
    threads: int | None,
    exact: bool,
) -> None:
    """Write what a layer of a trained network gives for each sample, without augmentation."""
    if output.suffix.lower() != ".npz":
        raise click.UsageError(f"-o writes an .npz file; `{output}` does not end so.")
    from netdsl import driver
    from netdsl.trained import features, load_trained

    session = session_of(context)
    model = driver.load(origin_of(file, net, settings, size))
    print_warnings(session, model.warnings)
    trained = load_trained(model, weights, averaged=averaged)
    data = opened(session, data_name, strict_data)
    build = driver.Build(target=target, batch=batch, threads=threads, exact=exact)
    found = features(trained, data, layer, build, part=part)
    write_output(output, found.npz())
    shape = list(found.values.shape)
    if session.json:
        print_json({"net": model.name, "layer": layer, "data": data.name, "part": part, "shape": shape})
    else:
        print(f"{layer} {shape} of the {part} part of {data.name}: {output}")
