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
    write_output,
)
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
Examples:
  netdsl report zoo:lenet5
  netdsl report --batch 32 zoo:resnet50
  netdsl report --set classes=37 --json net.net
  netdsl report --size 512x512 zoo:unet_bn
  netdsl report models.net#Small
  netdsl report zoo:resnet50 --html resnet50.html
  netdsl report zoo:resnet50 --fits 8GiB --training
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
@click.option(
    "--fits",
    "amount",
    metavar="SIZE",
    help="Say only the largest batch whose plan fits, such as 8GiB; weights and optimizer state included.",
)
@click.option("--training", is_flag=True, help="With --fits: of training instead of inference.")
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
    amount: str | None,
    training: bool,
) -> None:
    """Show shapes, parameters, work, receptive fields and memory."""
    session = session_of(context)
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
    report = analyse(model, Build(target=target, batch=batch, threads=threads))
    print_warnings(session, report.warnings)
    if page is not None:
        from netdsl.report.html.page import html_page

        write_output(page, html_page(model.graph, report))
    if session.json:
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
