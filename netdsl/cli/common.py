"""Shared by the verbs: options, the state of one command line, and how things are printed and written."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from netdsl.diagnostics import Diagnostic, render
from netdsl.driver import MAX_THREADS, Origin
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.report.figure.primitives import Figure

Function = TypeVar("Function", bound=Callable[..., Any])
SCHEMA = 1
MAX_BATCH = 65_536
MAX_WORKERS = 64


@record(frozen=False)
class Session:
    """One run of the command line. ``json``: errors and results are JSON documents on stdout."""

    arguments: tuple[str, ...] = ()
    json: bool = False


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


# -- options -----------------------------------------------------------------------------------------


def json_option(function: Function) -> Function:
    """``--json``; kept in the session so that errors come as JSON too."""

    def keep(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            session = context.find_object(Session)
            assert session is not None
            session.json = True

    return click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=keep, help="Print JSON for other programs."
    )(function)


@record
class Assignment:
    """``--set name=value``; the net's declaration says what the value may be."""

    name: str
    value: str


def _parse_settings(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Assignment, ...]:
    return tuple(map(_parse_setting, values))


def _parse_setting(text: str) -> Assignment:
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier() or not value.strip():
        raise click.BadParameter(f"`{text}` is not of the form name=value, such as classes=37.")
    return Assignment(name.strip(), value.strip())


def _parse_size(_: click.Context, __: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text)
    if not found:
        raise click.BadParameter(f"`{text}` is not a size such as 224x224 (height x width).")
    return int(found[1]), int(found[2])


def common_settings(function: Function) -> Function:
    """``--set name=value``: the parameter ``settings``."""
    return click.option(
        "--set", "settings", metavar="NAME=VALUE", multiple=True, callback=_parse_settings,
        help="Give an argument of the net a value.",
    )(function)  # fmt: skip


def size_option(function: Function) -> Function:
    """``--size HxW``: the parameter ``size``."""
    return click.option(
        "--size", metavar="HxW", callback=_parse_size, help="Bind the symbolic height and width of the input."
    )(function)


def network_options(function: Function) -> Function:
    """FILE with ``--net``, ``--set`` and ``--size``: the parameters ``file``, ``net``, ``settings``, ``size``."""
    for option in (
        size_option,
        common_settings,
        click.option("--net", metavar="NAME", help="The net to take where the file has several."),
        click.argument("file", metavar="FILE"),
    ):
        function = option(function)
    return function


def origin_of(file: str, net: str | None, settings: Sequence[Assignment], size: tuple[int, int] | None) -> Origin:
    """The network that the options of ``network_options`` name. Raises UsageError for a name set twice."""
    names = [item.name for item in settings]
    for name in names:
        if names.count(name) > 1:
            raise click.UsageError(f"--set gives `{name}` two values.")
    return Origin(file, net, {item.name: item.value for item in settings}, size=size)


def batch_option(default: int) -> Callable[[Function], Function]:
    """``--batch N``."""
    return click.option(
        "--batch", type=click.IntRange(1, MAX_BATCH), default=default, show_default=True, metavar="N",
        help="Samples processed together.",
    )  # fmt: skip


def target_option(function: Function) -> Function:
    """``--target cpu`` or ``cpu:avx2``."""
    return click.option(
        "--target", default="cpu", show_default=True, metavar="TARGET",
        help="What to make code for: `cpu` is this machine, `cpu:avx2` a kind of machine.",
    )(function)  # fmt: skip


def threads_option(function: Function) -> Function:
    """``--threads N``; results have the same bits for any number."""
    return click.option(
        "--threads",
        type=click.IntRange(1, MAX_THREADS),
        metavar="N",
        help="Threads to use.  [default: the cores allowed]",
    )(function)


def workers_option(function: Function) -> Function:
    """``--workers N``; results have the same bits for any number."""
    return click.option(
        "--workers",
        type=click.IntRange(1, MAX_WORKERS),
        metavar="N",
        help="Threads that load and augment data.  [default: the cores, at most 4]",
    )(function)


def math_option(function: Function) -> Function:
    """``--math fast|exact``, given on as ``exact``."""
    return click.option(
        "--math", "exact", type=click.Choice(["fast", "exact"]), default="fast", show_default=True,
        callback=lambda context, parameter, value: value == "exact",
        help="`exact` sums convolutions as they are defined; `fast` may transform them (Winograd), 1e-5 apart.",
    )(function)  # fmt: skip


def session_of(context: click.Context) -> Session:
    """The session of the running command."""
    session = context.find_object(Session)
    assert session is not None
    return session
