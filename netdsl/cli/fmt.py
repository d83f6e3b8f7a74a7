"""``netdsl fmt``: files in the common style."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from netdsl.cli.common import has_color, print_diagnostics, session_of, write_output
from netdsl.diagnostics import Diagnostic, UserError
from netdsl.source import Source

_COLORS = {"+": "32", "-": "31", "@": "36"}


@click.command(
    epilog="""\b
Examples:
  netdsl fmt net.net
  netdsl fmt nets/*.net
  netdsl fmt --check --diff nets/*.net
  netdsl fmt - < net.net"""
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; end with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
@click.pass_context
def command(context: click.Context, files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Bring .net files into the common style.

    Blanks, indents and empty lines are made regular; comments stay, and so do the places where you end a line, and
    signs that you put below one another. Lines of more than 120 characters are broken at their outermost pipe,
    a stage a line. FILE `-` reads stdin and writes stdout. Files with syntax errors are left alone.
    """
    problems: list[Diagnostic] = []
    worst, changed = 0, 0
    for file in files:
        try:
            changed += _format_file(file, check, diff)
        except UserError as error:
            problems += error.diagnostics
            worst = max(worst, error.exit_code)
    if problems:
        print_diagnostics(session_of(context), problems)
    if check and changed:
        worst = max(worst, 1)
    context.exit(worst)


def _format_file(file: str, check: bool, diff: bool) -> bool:
    """Whether the file is not in the common style (or was not, until now). Raises UserError."""
    from netdsl.elaborate.files import read_source
    from netdsl.syntax.format import format_source

    source = _stdin() if file == "-" else read_source(Path(file))
    text = format_source(source)
    # Not the source's text: a byte-order mark and the like are no part of it.
    differs = text != source.text
    if diff:
        sys.stdout.writelines(_difference(source.name, source.text, text))
    elif check:
        if differs:
            print(f"{source.name} would change")
    elif file == "-":
        sys.stdout.write(text)
    elif differs:
        _write(Path(file), text)
        print(f"{source.name} changed")
    return differs


def _stdin() -> Source:
    from netdsl.diagnostics import Code

    data = sys.stdin.buffer.read()
    try:
        return Source("<stdin>", data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError.of(Code.FILE_UNREADABLE, f"stdin is not UTF-8 text (byte {error.start})") from None


def _write(path: Path, text: str) -> None:
    """The file with its permissions, or none of it."""
    mode = os.stat(path).st_mode & 0o7777
    write_output(path, text.encode())
    os.chmod(path, mode)


def _difference(name: str, before: str, after: str) -> Iterator[str]:
    """A unified diff, in colours on a terminal."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, f"{name} (formatted)")
    colored = has_color(sys.stdout)
    for line in lines:
        text = line if line.endswith("\n") else line + "\n"
        color = _COLORS.get(line[0]) if colored else None
        yield f"\033[{color}m{text.rstrip()}\033[0m\n" if color else text
