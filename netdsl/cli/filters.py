"""``netdsl filters``: a layer's filters as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from netdsl.cli.common import loaded, print_json, session_of, write_output
from netdsl.cli.options import WeightsChoice, json_option, network_options, weights_options
from netdsl.driver import Origin


@click.command(
    epilog="""\b
Examples:
  netdsl filters zoo:lenet5 --weights runs/lenet5 -o filters.png
  netdsl filters zoo:vgg16 --weights vgg16.safetensors --layer conv2_1 --first 32 -o conv2_1.png

\b
Filters that look at the picture itself are small pictures in a grid, in colour where it has colours; so are the units
of a fully connected layer on the picture. Of any other convolution a filter is a row, a grey tile a channel. Each
filter is scaled to its own range: from black, its smallest number, to white.
"""
)
@network_options
@weights_options
@click.option("--layer", metavar="NAME", help="A convolution.  [default: the first layer with filters]")
@click.option("--first", type=click.IntRange(1, 1_000_000), metavar="N", help="Only the first N filters.")
@click.option(
    "-o", "output", required=True, type=click.Path(path_type=Path), metavar="PATH", help="The PNG file to write."
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    weights: WeightsChoice,
    layer: str | None,
    first: int | None,
    output: Path,
) -> None:
    """Draw the filters of a trained network: of its first layer, or of any convolution."""
    if output.suffix.lower() != ".png":
        raise click.UsageError(f"-o writes a PNG file; `{output}` does not end in .png.")
    from netdsl.train.filters import filters_picture, layer_filters

    session = session_of(context)
    model = loaded(session, network)
    [trained] = weights.load(model)
    found = layer_filters(model.graph, trained.parameters, layer)
    write_output(output, filters_picture(found, first))
    if session.json:
        facts = {"layer": found.layer, "shape": list(found.values.shape), "coloured": found.coloured}
        print_json({"net": model.name, **facts, "picture": str(output)})
    else:
        count, channels, height, width = found.values.shape
        print(f"{found.layer}: {count} filters of {channels} x {height} x {width}: {output}")
