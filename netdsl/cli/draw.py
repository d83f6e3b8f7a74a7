"""``netdsl draw``: the architecture figure."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from netdsl.cli.common import print_warnings, session_of, write_output
from netdsl.cli.options import network_options, output_option
from netdsl.driver import Origin, load


@click.command(
    epilog="""\b
Maps are slabs: height and depth tell their resolution, thickness their channels. Vectors are bars, folded blocks
slabs of three layers. Networks that enlarge their maps again are drawn as a U.

\b
Examples:
  netdsl draw zoo:lenet5 -o lenet5.svg
  netdsl draw zoo:unet --png -o unet.png
  netdsl draw zoo:resnet18 --depth 2 --svg > resnet18.svg
  netdsl draw zoo:googlenet --depth 1 --scale 1.5 -o googlenet.png
"""
)
@network_options
@click.option("--svg", "kind", flag_value="svg", help="Write SVG.  [default, unless PATH ends in .png]")
@click.option("--png", "kind", flag_value="png", help="Write PNG.")
@output_option
@click.option(
    "--depth",
    type=click.IntRange(0, 100),
    metavar="N",
    help="Open blocks down to N levels; 0 folds all.  [default: as many as fit a page]",
)
@click.option(
    "--scale",
    type=click.FloatRange(0.1, 10),
    default=2.0,
    show_default=True,
    metavar="X",
    help="Pixels a point, in PNG.",
)
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    kind: str | None,
    output: Path | None,
    depth: int | None,
    scale: float,
) -> None:
    """Draw the figure of a network's architecture, as papers print it."""
    from netdsl.report.figure.scene import figure

    if kind is None:
        kind = "png" if output is not None and output.suffix.lower() == ".png" else "svg"
    if kind == "png" and output is None and sys.stdout.isatty():
        raise click.UsageError("A PNG is not for the terminal: name a file with -o.")
    model = load(network)
    drawn = figure(model.graph, depth)
    print_warnings(session_of(context), model.warnings)
    if kind == "png":
        from netdsl.report.figure.png import png

        write_output(output, png(drawn, scale))
    else:
        from netdsl.report.figure.svg import svg

        write_output(output, svg(drawn))
