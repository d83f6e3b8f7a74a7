"""``netdsl compare``: networks side by side."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from netdsl.cli.common import (
    Assignment,
    batch_option,
    check_suffix,
    common_settings,
    json_option,
    origin_of,
    print_json,
    session_of,
    size_option,
    target_option,
    threads_option,
    write_figure,
)
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
@common_settings
@size_option
@batch_option(1)
@target_option
@threads_option
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
    settings: tuple[Assignment, ...],
    size: tuple[int, int] | None,
    batch: int,
    target: str,
    threads: int | None,
    form: str | None,
    plot: Path | None,
) -> None:
    """Put networks side by side: parameters, work for one sample, memory, and the largest receptive field."""
    from netdsl.report import comparison

    if plot is not None:
        check_suffix("--plot", plot)
    build = Build(target=target, batch=batch, threads=threads)
    found = [comparison.entry(file, report(load(origin_of(file, None, settings, size)), build)) for file in files]
    if plot is not None:
        from netdsl.report.figure.plot import plot as drawn

        write_figure(plot, drawn(found))
    if session_of(context).json:
        print_json({"batch": batch, "networks": [asdict(item) for item in found]})
        return
    tables = {"csv": comparison.csv_table, "markdown": comparison.markdown_table}
    sys.stdout.write(tables.get(form or "", comparison.plain_table)(found))
