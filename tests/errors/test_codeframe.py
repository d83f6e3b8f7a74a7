"""Frames around places that are hard to show."""

from __future__ import annotations

import json
import re

from netdsl.diagnostics import Code, Diagnostic, Diagnostics, Label, Level, UserError, render, suggest
from netdsl.source import Source, Span


def place(source: Source, text: str) -> Span:
    start = source.text.index(text)
    return source.span(start, start + len(text))


def frame(*labels: Label, **options: str) -> str:
    item = Diagnostic(Code.SYNTAX, Level.ERROR, "title", labels[0] if labels else None, labels[1:], **options)  # type: ignore[arg-type]
    return render([item], color=False, width=60)


def test_labels_in_two_files() -> None:
    one, two = Source("one.net", "alpha\nbeta\n"), Source("two.net", "\n" * 99 + "gamma")
    assert frame(Label(place(two, "gamma"), "here"), Label(place(one, "beta"), "there"), help="an edit") == (
        "error[N0101]: title\n"
        "     ┌─ two.net:100:1\n"
        "     │\n"
        " 100 │ gamma\n"
        "     │ ^^^^^ here\n"
        "     ┌─ one.net:2:1\n"
        "     │\n"
        "   2 │ beta\n"
        "     │ ---- there\n"
        "     = help: an edit"
    )


def test_no_place_at_all() -> None:
    assert frame(help="an edit") == "error[N0101]: title\n   = help: an edit"


def test_tabs_and_wide_characters_keep_the_underline_in_place() -> None:
    source = Source("wide.net", "\t漢字 = e\u0301x")
    text, underline = frame(Label(place(source, "x"))).splitlines()[3:5]
    assert text == " 1 │     漢字 = e\u0301x"
    assert underline.index("^") == len(" 1 │ ") + 4 + 4 + len(" = e")


def test_control_characters_never_reach_the_terminal() -> None:
    source = Source("evil\x1b[2J.net", "x = \x1b[31m\x07\r y")
    shown = frame(Label(place(source, "x"), "\x1b]0;"))
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_long_lines_are_cut_around_the_place() -> None:
    source = Source("long.net", "a" * 500 + "X" + "b" * 500)
    text, underline = frame(Label(place(source, "X"))).splitlines()[3:5]
    assert len(text) <= 66 and text.index("X") == underline.index("^")
    assert text.count("…") == 2


def test_places_over_several_lines_and_at_the_end() -> None:
    source = Source("t.net", "a {\n b\n}")
    assert "^^^ whole (to line 3)" in frame(Label(source.span(0, 8), "whole"))
    assert frame(Label(source.span(8, 8), "end")).endswith(" 3 │ }\n   │  ^ end")
    assert frame(Label(Source("empty.net", "").span(0, 0))).endswith(" 1 │\n   │ ^")


def test_colour_only_adds_escapes() -> None:
    source = Source("t.net", "alpha")
    item = Diagnostic(Code.SYNTAX, Level.WARNING, "title", Label(place(source, "alpha"), "here"), (), ("why",), "how")
    assert re.sub(r"\x1b\[[0-9;]*m", "", render([item], color=True)) == render([item], color=False)


def test_json_holds_everything() -> None:
    source = Source("t.net", "alpha\nbeta")
    item = Diagnostic(
        Code.SYNTAX, Level.ERROR, "t", Label(place(source, "beta"), "l"), (Label(place(source, "alpha")),)
    )
    data = json.loads(json.dumps(item.to_json()))
    assert data["code"] == "N0101" and data["level"] == "error"
    assert data["primary"] == {"file": "t.net", "line": 2, "column": 1, "end_line": 2, "end_column": 5, "text": "l"}
    assert data["secondary"][0]["line"] == 1


def test_the_collector_keeps_each_finding_once() -> None:
    found = Diagnostics()
    span = Source("t", "x").span(0, 1)
    for _ in range(3):
        found.warning(Code.UNUSED_VALUE, "w", span)
        found.error(Code.SYNTAX, "e", span)
    assert (len(found), found.has_errors, len(found.warnings)) == (2, True, 1)
    try:
        found.raise_if_errors()
    except UserError as error:
        assert len(error.diagnostics) == 2


def test_suggestions() -> None:
    assert suggest("relo", ["relu", "prelu", "conv"]) == "relu"
    assert suggest("Conv", ["conv", "cony"]) == "conv"
    assert suggest("padding", ["pad", "kernel"]) == "pad"
    assert suggest("ocnv", ["conv"]) == "conv"
    assert suggest("x", ["y"]) is None
    assert suggest("frobnicate", ["conv"]) is None
