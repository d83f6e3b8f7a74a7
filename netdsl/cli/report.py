"""``netdsl report``: everything known of a network without running it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, print_json, print_warnings, session_of
from netdsl.cli.costs import Tables, print_tables, table_options
from netdsl.cli.fits import BUDGET, FitQuestion, budget_option, fit_options, print_fit, print_recomputation
from netdsl.cli.options import build_options, json_option, network_options
from netdsl.cli.peak import print_peaks
from netdsl.cli.receptive import FieldQuestion, field_options, print_field
from netdsl.driver import Build, Origin, load
from netdsl.driver import report as analyse

if TYPE_CHECKING:
    from netdsl.elaborate import Model


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
  netdsl report zoo:resnet50 --batch 16 --checkpoint-activations 1GiB
  netdsl report zoo:unet --peak --batch 4
  netdsl report zoo:resnet50 --receptive-field layer2.3.conv2
  netdsl report zoo:resnet50 --cost --batch 32 --machine measured
  netdsl report zoo:resnet50 --markdown
  netdsl report zoo:lenet5 --receptive-field conv2,0,9 --image digit.png -o field.svg
"""
)
@network_options
@build_options(batch=1)
@click.option(
    "--html",
    "page",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Write one page to look at in a browser: the network drawn, with everything known of each layer.",
)
@table_options
@fit_options
@budget_option("Say only what a training step that takes no more than this computes again, and what that costs.")
@click.option("--peak", is_flag=True, help="Say only which lines hold the memory peak, and what is alive then.")
@field_options
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    build: Build,
    page: Path | None,
    tables: Tables,
    fit: FitQuestion,
    memory: int | None,
    peak: bool,
    field: FieldQuestion,
) -> None:
    """Show shapes, parameters, work, receptive fields and memory."""
    session = session_of(context)
    _check_questions(session, page, tables, fit, memory, peak, field)
    if memory is not None:
        print_recomputation(session, load(network), replace(build, memory=memory))
    elif peak:
        print_peaks(session, load(network), build)
    elif field.unit is not None:
        print_field(session, load(network), field)
    elif fit.amount is not None:
        print_fit(session, load(network), build, fit)
    else:
        _print_report(session, load(network), build, page, tables)


def _check_questions(
    session: Session,
    page: Path | None,
    tables: Tables,
    fit: FitQuestion,
    memory: int | None,
    peak: bool,
    field: FieldQuestion,
) -> None:
    """Raises UsageError for questions that are not asked together, and options that belong to one not asked."""
    others = {"--receptive-field": field.unit, "--fits": fit.amount, "--html": page}
    asked = [name for name, given in others.items() if given is not None]
    tables.check(session, next(iter([*asked, *([BUDGET] if memory is not None else [])]), None))
    field.check()
    fit.check()
    if memory is not None and (asked or peak):
        raise click.UsageError(f"{BUDGET} is a question of its own; ask the others apart.")
    if peak and asked:
        raise click.UsageError("--peak is a question of its own; ask the others apart.")
    if field.unit is not None and len(asked) > 1:
        raise click.UsageError("--receptive-field is a question of its own; ask --fits or --html apart.")
    if len(asked) > 1:
        raise click.UsageError("--fits and --html are two questions; ask one.")
    if page is not None and str(page) == "-" and session.json:
        raise click.UsageError("--html - and --json both write to stdout.")


def _print_report(session: Session, model: Model, build: Build, page: Path | None, tables: Tables) -> None:
    """Everything known of the network: on stdout in the form asked for, and as a page."""
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
