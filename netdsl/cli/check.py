"""``netdsl check``: every finding of every file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import (
    MAX_BATCH,
    Assignment,
    Session,
    common_settings,
    json_option,
    print_diagnostics,
    session_of,
    size_option,
)
from netdsl.diagnostics import Diagnostic, Diagnostics, Level, UserError

if TYPE_CHECKING:
    from netdsl.elaborate import Module


@click.command(
    epilog="""\b
Examples:
  netdsl check net.net
  netdsl check nets/*.net zoo:unet
  netdsl check --json net.net
  netdsl check --size 512x512 segmentation.net
  netdsl check --strict --batch 1 net.net

\b
A warning is allowed by a comment on its line, or alone on the line above:
  x = image -> conv(8, 3x3) -> bn  # allow N0307"""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@common_settings
@size_option
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
    settings: tuple[Assignment, ...],
    size: tuple[int, int] | None,
    batch: int | None,
    strict: bool,
) -> None:
    """Find every error and warning in .net files.

    All nets of a file are built, those with arguments that have no default excepted (name one as FILE#Net and give
    the arguments with --set). Ends with 1 if there is any error; warnings alone end with 0, without --strict.
    """
    session = session_of(context)
    found = Diagnostics()
    worst = 0
    nets = 0
    for file in files:
        options = Options({item.name: item.value for item in settings}, size, batch)
        code, count = _check_file(file, options, found)
        worst, nets = max(worst, code), nets + count
    if strict and found.warnings:
        found = Diagnostics([replace(item, level=Level.ERROR) for item in found])
        worst = max(worst, 1)
    print_diagnostics(session, found)
    _print_summary(session, found, len(files), nets)
    context.exit(worst)


@dataclass(frozen=True)
class Options:
    """What every net is built and judged with."""

    arguments: dict[str, str]
    size: tuple[int, int] | None
    batch: int | None


def _check_file(file: str, options: Options, found: Diagnostics) -> tuple[int, int]:
    """Findings of one file are added to ``found``. Returns the exit code and the number of nets built."""
    from netdsl.elaborate import buildable_nets, load_program
    from netdsl.resolve import resolve

    try:
        reference = resolve(file)
        module = load_program(reference.path)
    except UserError as error:
        return _keep(found, error), 0
    if reference.net is None and not module.nets and module.blocks:
        return 0, 0  # a file of blocks; they are built where they are used
    names = [reference.net] if reference.net is not None else buildable_nets(module)
    worst = 0
    wanted: list[str | None] = [*names] or [None]  # without any, building says what is missing
    for name in wanted:
        worst = max(worst, _check_net(module, name, options, found))
    return worst, len(names)


def _check_net(module: Module, name: str | None, options: Options, found: Diagnostics) -> int:
    from netdsl.elaborate import elaborate
    from netdsl.report.findings import warnings_of
    from netdsl.syntax.allowed import without_allowed

    try:
        model = elaborate(module, name, options.arguments, image_size=options.size)
    except UserError as error:
        return _keep(found, error)
    _add(found, without_allowed(warnings_of(model, options.batch)))
    return 0


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
    where = f"{_count(nets, 'net')} of {_count(files, 'file')}"
    if found:
        print(file=sys.stderr)
    print(f"{where} checked: {counts if found else 'no errors, no warnings'}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
