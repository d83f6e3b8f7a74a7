"""``netdsl compare``: networks side by side."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from netdsl.cli.common import check_suffix, print_json, session_of, write_figure
from netdsl.cli.options import Bindings, bindings_options, build_options, json_option
from netdsl.driver import Build, load, report


@click.command(
    epilog="""\b
Examples:
  netdsl compare zoo:resnet18 zoo:resnet50 mine.net
  netdsl compare --markdown zoo:vgg_a zoo:vgg_d
  netdsl compare --csv --batch 32 zoo:lenet5 zoo:alexnet
  netdsl compare zoo:alexnet zoo:vgg_d zoo:googlenet zoo:resnet50 --plot nets.svg
"""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@bindings_options
@build_options(batch=1)
@click.option("--csv", "form", flag_value="csv", help="Print comma-separated values.")
@click.option("--markdown", "form", flag_value="markdown", help="Print a Markdown table.")
@click.option(
    "--plot",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Draw MACs against parameters, both on logarithmic scales, as .svg or .png.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    files: tuple[str, ...],
    bindings: Bindings,
    build: Build,
    form: str | None,
    plot: Path | None,
) -> None:
    """Put networks side by side: parameters, work for one sample, memory, and the largest receptive field."""
    from netdsl.report import comparison

    if plot is not None:
        check_suffix("--plot", plot)
    found = [comparison.entry(file, report(load(bindings.origin(file)), build)) for file in files]
    if plot is not None:
        from netdsl.report.figure.plot import plot as drawn

        write_figure(plot, drawn(found))
    if session_of(context).json:
        print_json({"batch": build.batch, "networks": [asdict(item) for item in found]})
        return
    tables = {"csv": comparison.csv_table, "markdown": comparison.markdown_table}
    sys.stdout.write(tables.get(form or "", comparison.plain_table)(found))
