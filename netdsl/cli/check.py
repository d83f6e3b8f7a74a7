"""``netdsl check``: every finding of every file."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from netdsl.cli.common import Session, print_diagnostics, session_of
from netdsl.cli.options import MAX_BATCH, Bindings, bindings_options, json_option
from netdsl.diagnostics import MOST_WARNINGS, Diagnostic, Diagnostics, Level, ResourceLimit, UserError
from netdsl.record import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from netdsl.elaborate import Model, Module
    from netdsl.elaborate.limits import Spent
    from netdsl.elaborate.probe import Probe
    from netdsl.report.legal_sizes import LegalSizes
    from netdsl.report.size_search import Budget


@click.command(
    epilog="""\b
Examples:
  netdsl check net.net
  netdsl check nets/*.net zoo:unet
  netdsl check --json net.net
  netdsl check segmentation.net                  which sizes fit, where it leaves them open
  netdsl check --size 512x512 segmentation.net
  netdsl check --strict --batch 1 net.net

\b
A warning is allowed by a comment on its line, or alone on the line above:
  x = image -> conv(8, 3x3) -> bn  # allow N0307"""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@bindings_options
@click.option(
    "--batch",
    type=click.IntRange(1, MAX_BATCH),
    metavar="N",
    help="Samples normalized together.  [default: as the train block says]",
)
@click.option("--strict", is_flag=True, help="Make warnings errors.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    files: tuple[str, ...],
    bindings: Bindings,
    batch: int | None,
    strict: bool,
) -> None:
    """Find every error and warning in .net files.

    All nets of a file are built, those with arguments that have no default excepted (name one as FILE#Net and give
    the arguments with --set). A net that leaves the sizes of its inputs open passes if any size fits, and is told which
    do. Ends with 1 if there is any error; warnings alone end with 0, without --strict.
    """
    session = session_of(context)
    found = Diagnostics()
    worst = 0
    nets = 0
    legal: list[Solved] = []
    for file in files:
        options = Options({item.name: item.value for item in bindings.settings}, bindings.size, batch)
        code, count = _check_file(file, options, found, legal)
        worst, nets = max(worst, code), nets + count
    if strict and found.warnings:
        found = Diagnostics([replace(item, level=Level.ERROR) for item in found])
        worst = max(worst, 1)
    print_diagnostics(session, found, _sizes_json(legal))
    _print_sizes(session, legal)
    _print_summary(session, found, len(files), nets)
    context.exit(worst)


@record
class Options:
    """What every net is built and judged with."""

    arguments: dict[str, str]
    size: tuple[int, int] | None
    batch: int | None


def _check_file(file: str, options: Options, found: Diagnostics, legal: list[Solved]) -> tuple[int, int]:
    """Findings of one file are added to ``found``, sizes that were solved to ``legal``.

    Returns the exit code and the number of nets built.
    """
    from netdsl.elaborate import buildable_nets, load_program
    from netdsl.elaborate.limits import MAX_ERRORS, Spent
    from netdsl.report.size_search import Budget
    from netdsl.resolve import resolve

    try:
        reference = resolve(file)
        module = load_program(reference.path)
    except UserError as error:
        return _keep(found, error), 0
    if reference.net is None and not module.nets and module.blocks:
        return 0, 0  # a file of blocks; they are built where they are used
    names = [reference.net] if reference.net is not None else buildable_nets(module)
    worst, budget = 0, Budget()
    wanted: list[str | None] = [*names] or [None]  # without any, building says what is missing
    spent = Spent()
    for name in wanted:
        code = _check_net(module, name, options, spent, budget, found, legal)
        worst = max(worst, code)
        if code == ResourceLimit.exit_code or spent.errors >= MAX_ERRORS:
            break  # what the nets of a file may take together is used up
    return worst, len(names)


def _check_net(
    module: Module,
    name: str | None,
    options: Options,
    spent: Spent,
    budget: Budget,
    found: Diagnostics,
    legal: list[Solved],
) -> int:
    from netdsl.elaborate import elaborate
    from netdsl.report.findings import warnings_of

    def build(probe: Probe | None = None, spent: Spent | None = None) -> Model:
        return elaborate(module, name, options.arguments, image_size=options.size, probe=probe, spent=spent)

    try:
        model = build(spent=spent)
    except UserError as error:
        return _check_sizes(module.source.name, error, build, options, budget, found, legal)
    _add(found, warnings_of(model, options.batch))
    return 0


def _check_sizes(
    file: str,
    error: UserError,
    build: Callable[..., Model],
    options: Options,
    budget: Budget,
    found: Diagnostics,
    legal: list[Solved],
) -> int:
    """A net that has no size yet passes if any size fits; it is judged at two of those."""
    from netdsl.elaborate.probe import Probe
    from netdsl.report.findings import at_all_sizes, warnings_of
    from netdsl.report.legal_sizes import helped, legal_sizes, only_unbound

    if not only_unbound(error):
        is_first = not found.has_errors  # one hint is enough, and each takes a moment
        return _keep(found, helped(error, build) if is_first else error)
    try:
        sizes, model = legal_sizes(build, budget)
    except UserError as refused:
        return _keep(found, refused)
    legal.append(Solved(file, sizes))
    models = [model] if sizes.another == sizes.point or budget.left < 0 else [model, build(Probe(sizes.another))]
    _add(found, at_all_sizes([warnings_of(item, options.batch) for item in models]))
    return 0


@record
class Solved:
    """The legal sizes of a net of a file."""

    file: str
    sizes: LegalSizes


def _sizes_json(legal: list[Solved]) -> dict[str, Any]:
    """Present where a net has sizes to be given."""
    from netdsl.report.legal_sizes import sizes_json

    return {"legal_sizes": [{"file": item.file, **sizes_json(item.sizes)} for item in legal]} if legal else {}


def _print_sizes(session: Session, legal: list[Solved]) -> None:
    from netdsl.report.legal_sizes import lines

    if session.json:
        return
    for item in legal:
        print(f"{item.file}: sizes of `{item.sizes.net}`")
        for line in lines(item.sizes):
            print(f"  {line}")


def _keep(found: Diagnostics, error: UserError) -> int:
    _add(found, error.diagnostics)
    return error.exit_code


def _add(found: Diagnostics, items: tuple[Diagnostic, ...]) -> None:
    for item in items:
        found.add(item)


def _print_summary(session: Session, found: Diagnostics, files: int, nets: int) -> None:
    if session.json:
        return
    errors = sum(item.level is Level.ERROR for item in found)
    warnings = len(found) - errors
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    if warnings >= MOST_WARNINGS:
        counts += " (the first ones)"
    where = f"{_count(nets, 'net')} of {_count(files, 'file')}"
    if found:
        print(file=sys.stderr)
    print(f"{where} checked: {counts if found else 'no errors, no warnings'}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
