"""Shared by the verbs: the state of one command line, and how things are loaded, printed and written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from netdsl.diagnostics import Diagnostic, render
from netdsl.driver import Origin, load
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.elaborate import Model
    from netdsl.report.figure.primitives import Figure
    from netdsl.train.ranks import Ranks

SCHEMA = 1


@record(frozen=False)
class Session:
    """One run of the command line. ``json``: errors and results are JSON documents on stdout."""

    arguments: tuple[str, ...] = ()
    json: bool = False
    ranks: Ranks | None = None
    """The processes that run this command line together, where a verb has joined them."""


def session_of(context: click.Context) -> Session:
    """The session of the running command."""
    session = context.find_object(Session)
    assert session is not None
    return session


def loaded(session: Session, network: Origin) -> Model:
    """The network, its warnings printed. Raises UserError as `netdsl.driver.load`."""
    model = load(network)
    print_warnings(session, model.warnings)
    return model


# -- printing ----------------------------------------------------------------------------------------


def print_diagnostics(
    session: Session, diagnostics: Iterable[Diagnostic], facts: Mapping[str, Any] | None = None
) -> None:
    """Errors and warnings: code frames on stderr, or one JSON document on stdout, with ``facts`` beside them."""
    found = tuple(diagnostics)
    if session.json:
        print_json({"diagnostics": [item.to_json() for item in found], **(facts or {})})
    elif found:
        print(render(found, color=has_color(sys.stderr), width=width_of(sys.stderr)), file=sys.stderr)


def print_warnings(session: Session, warnings: Sequence[Diagnostic]) -> None:
    """Warnings of a run that goes on, without those that a comment allows: on stderr, and nowhere in a JSON run
    (``check --json`` has them)."""
    if warnings and not session.json:
        from netdsl.syntax.allowed import without_allowed

        print_diagnostics(session, without_allowed(warnings))


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout, with the schema's number in front."""
    print(json.dumps({"schema": SCHEMA, **document}, indent=2, ensure_ascii=False))


def has_color(stream: TextIO) -> bool:
    """Colour on a terminal only, and not where NO_COLOR (no-color.org) or a dumb terminal says otherwise."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int:
    """Columns of a terminal; 100 elsewhere."""
    if not stream.isatty():
        return 100
    import shutil

    return shutil.get_terminal_size().columns


def write_output(path: Path | None, content: str | bytes) -> None:
    """To stdout, or whole to a file: never half of it. Raises UserError where the path cannot be a file."""
    if path is None or str(path) == "-":
        if isinstance(content, str):
            sys.stdout.write(content)
        else:
            sys.stdout.buffer.write(content)
        return
    from netdsl.weights.atomic import write_atomically

    data = content.encode() if isinstance(content, str) else content
    write_atomically(_writable_file(path), data)


FIGURES = (".svg", ".png")


def check_suffix(option: str, path: Path) -> None:
    """Raises UsageError for a figure's file whose name does not say what to write."""
    if path.suffix.lower() not in FIGURES:
        raise click.UsageError(f"{option} writes SVG or PNG; `{path}` ends in neither .svg nor .png.")


def write_figure(path: Path, figure: Figure) -> None:
    """As SVG or PNG, by the file's ending."""
    if path.suffix.lower() == ".png":
        from netdsl.report.figure.png import png

        write_output(path, png(figure))
    else:
        from netdsl.report.figure.svg import svg

        write_output(path, svg(figure))


def _writable_file(path: Path) -> Path:
    """The file behind links. Devices and folders are refused: a rename would replace them."""
    from netdsl.diagnostics import Code, UserError

    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_file():
        kind = "a folder" if real.is_dir() else "not a regular file"
        help = "name a file, or leave out -o for stdout"
        raise UserError.of(Code.FILE_NOT_WRITABLE, f"`{path}` is {kind}", help=help)
    return real
