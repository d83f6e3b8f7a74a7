"""``netdsl report``: everything known of a network without running it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from netdsl.cli.common import (
    Assignment,
    batch_option,
    json_option,
    network_options,
    origin_of,
    print_json,
    print_warnings,
    session_of,
    target_option,
    threads_option,
)
from netdsl.cli.costs import Tables, print_tables, table_options
from netdsl.driver import Build, load
from netdsl.driver import report as analyse


@click.command(
    epilog="""\b
Columns:
  params              learned parameters; a layer that shares those of an earlier one says so
  MACs, FLOPs         work for one sample: multiply-accumulates, and floating-point operations of any kind
  field, jump, start  receptive field in input pixels: its size, the distance between neighbours, and where the
                      centre of the first one lies (0 is the centre of the first pixel); VERTICALxHORIZONTAL
                      where they differ
  pads                top, bottom, left, right

\b
Memory: the peaks are those of the plan that would be run: activations, gradients and working memory. A file
without a train block is planned with SGD with momentum and, as its loss, the cross entropy of its first output
if that is a softmax, and the mean squared error otherwise.

\b
Costs (--cost) are of a whole batch: bytes that each layer reads and writes, as if all came from main memory;
parameters are read by the first layer that uses them. `as compiled` is the network after the passes. The time on a
machine is the longer of operations / peak and bytes / bandwidth.

\b
Examples:
  netdsl report zoo:lenet5
  netdsl report --batch 32 zoo:resnet50
  netdsl report --set classes=37 --json net.net
  netdsl report --size 512x512 zoo:unet_bn
  netdsl report models.net#Small
  netdsl report zoo:resnet50 --html resnet50.html
  netdsl report zoo:resnet50 --fits 8GiB --training
  netdsl report zoo:unet --peak --batch 4
  netdsl report zoo:resnet50 --receptive-field layer2.3.conv2
  netdsl report zoo:resnet50 --cost --batch 32 --machine measured
  netdsl report zoo:resnet50 --markdown
  netdsl report zoo:lenet5 --receptive-field conv2,0,9 --image digit.png -o field.svg
"""
)
@network_options
@batch_option(1)
@target_option
@threads_option
@click.option(
    "--html",
    "page",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write one page to look at in a browser: the network drawn, with everything known of each layer.",
)
@table_options
@click.option(
    "--fits",
    "amount",
    metavar="SIZE",
    help="Say only the largest batch whose plan fits, such as 8GiB; weights and optimizer state included.",
)
@click.option("--training", is_flag=True, help="With --fits: of training instead of inference.")
@click.option("--peak", is_flag=True, help="Say only which lines hold the memory peak, and what is alive then.")
@click.option(
    "--receptive-field",
    "unit",
    metavar="LAYER[,ROW,COLUMN]",
    help="Say only what one unit of a layer sees (the one in the middle), exactly; -o draws it.",
)
@click.option(
    "--image",
    "picture",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="With --receptive-field: a picture to draw the field on; brought to the input's size.",
)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="With --receptive-field: the figure to write, .svg or .png.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    file: str,
    net: str | None,
    settings: tuple[Assignment, ...],
    size: tuple[int, int] | None,
    batch: int,
    target: str,
    threads: int | None,
    page: Path | None,
    cost: bool,
    machine: str | None,
    markdown: bool,
    comma: bool,
    amount: str | None,
    training: bool,
    peak: bool,
    unit: str | None,
    picture: Path | None,
    output: Path | None,
) -> None:
    """Show shapes, parameters, work, receptive fields and memory."""
    session, tables = session_of(context), Tables(cost, machine, markdown, comma)
    others = {"--receptive-field": unit, "--fits": amount, "--html": page}
    tables.check(session, next((name for name, given in others.items() if given is not None), None))
    if unit is None and (picture is not None or output is not None):
        raise click.UsageError("--image and -o belong to --receptive-field.")
    if peak:
        from netdsl.cli.peak import print_peaks

        if unit is not None or amount is not None or page is not None:
            raise click.UsageError("--peak is a question of its own; ask the others apart.")
        build = Build(target=target, batch=batch, threads=threads)
        print_peaks(session, load(origin_of(file, net, settings, size)), build)
        return
    if unit is not None:
        from netdsl.cli.receptive import check_drawing, print_field

        if amount is not None or page is not None:
            raise click.UsageError("--receptive-field is a question of its own; ask --fits or --html apart.")
        check_drawing(picture, output)
        print_field(session, load(origin_of(file, net, settings, size)), unit, picture, output)
        return
    if training and amount is None:
        raise click.UsageError("--training belongs to --fits.")
    if amount is not None:
        from netdsl.cli.fits import parse_bytes, print_fit

        if page is not None:
            raise click.UsageError("--fits and --html are two questions; ask one.")
        build = Build(target=target, threads=threads, training=training)
        limit = parse_bytes(amount)
        print_fit(session, load(origin_of(file, net, settings, size)), build, limit)
        return
    if page is not None and str(page) == "-" and session.json:
        raise click.UsageError("--html - and --json both write to stdout.")
    model = load(origin_of(file, net, settings, size))
    build = Build(target=target, batch=batch, threads=threads)
    report = analyse(model, build)
    print_warnings(session, report.warnings)
    if page is not None:
        from netdsl.cli.page import write_page

        write_page(page, model, report, build)
    if tables.wanted:
        print_tables(session, tables, model, report, build)
    elif session.json:
        from netdsl.report.document import report_document

        print_json(report_document(report))
    elif page is not None:
        return
    elif sys.stdout.isatty():
        from netdsl.report.text import print_rich

        print_rich(report)
    else:
        from netdsl.report.text import plain_report

        sys.stdout.write(plain_report(report))
