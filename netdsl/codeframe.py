"""Diagnostics as text: a code frame with every label under the line it speaks of.

Text from a file is untrusted: control characters are shown as pictures, never sent to the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netdsl.diagnostics import Diagnostic, Label, Level
from netdsl.source import Source

TAB_WIDTH = 4
_STYLES = {"error": "1;31", "warning": "1;33", "gutter": "34", "note": "36", "title": "1"}


@dataclass(frozen=True)
class _Paint:
    color: bool

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and text else text


@dataclass(frozen=True)
class _Mark:
    """One underline: the label, and whether it is the primary one."""

    label: Label
    primary: bool


def render_all(diagnostics: Iterable[Diagnostic], *, color: bool, width: int = 100) -> str:
    paint = _Paint(color)
    return "\n\n".join(_render_one(item, paint, max(40, width)) for item in diagnostics)


def frames(labels: Sequence[Label], *, color: bool, width: int = 100) -> list[str]:
    """Lines of a code frame with a remark at each label, for what is no finding; the first label's file comes first."""
    marks = [_Mark(label, False) for label in labels]
    gutter = " " * (max((len(str(mark.label.span.line)) for mark in marks), default=1) + 2)
    lines = []
    for source, group in _by_source(marks, None):
        lines += _frame(source, group, gutter, Level.WARNING, _Paint(color), max(40, width))
    return lines


def _render_one(item: Diagnostic, paint: _Paint, width: int) -> str:
    head = paint(item.level.value, f"{item.level.value}[{item.code.id}]") + ": "
    lines = [head + paint("title", printable(item.title))]
    marks = _marks(item)
    digits = max((len(str(mark.label.span.line)) for mark in marks), default=1)
    gutter = " " * (digits + 2)
    for source, group in _by_source(marks, item.primary):
        lines += _frame(source, group, gutter, item.level, paint, width)
    lines += _trailer(item, gutter, paint)
    return "\n".join(lines)


def _trailer(item: Diagnostic, gutter: str, paint: _Paint) -> list[str]:
    lines = []
    remarks = [("note", note) for note in item.notes] + ([("help", item.help)] if item.help else [])
    for kind, text in remarks:
        first, *rest = printable(text, keep_newlines=True).split("\n")
        lines.append(f"{gutter}{paint('gutter', '=')} {paint('note', kind + ':')} {first}")
        lines += [f"{gutter}  {' ' * len(kind)}  {line}" for line in rest]
    return lines


def _marks(item: Diagnostic) -> list[_Mark]:
    primary = [_Mark(item.primary, True)] if item.primary else []
    return primary + [_Mark(label, False) for label in item.secondary]


def _by_source(marks: list[_Mark], primary: Label | None) -> list[tuple[Source, list[_Mark]]]:
    """Marks grouped by file, the primary label's file first."""
    groups: dict[Source, list[_Mark]] = {}
    if primary:
        groups[primary.span.source] = []
    for mark in marks:
        groups.setdefault(mark.label.span.source, []).append(mark)
    return list(groups.items())


def _frame(source: Source, marks: list[_Mark], gutter: str, level: Level, paint: _Paint, width: int) -> list[str]:
    anchor = next((mark for mark in marks if mark.primary), marks[0]).label.span
    bar = paint("gutter", f"{gutter}│")
    where = f"{printable(source.name)}:{anchor.line}:{anchor.column}"
    lines = [f"{paint('gutter', gutter + '┌─')} {where}", bar]
    by_line: dict[int, list[_Mark]] = {}
    for mark in marks:
        by_line.setdefault(mark.label.span.line, []).append(mark)
    for number in sorted(by_line):
        shown = _Line.of(source.line_text(number), by_line[number], width - len(gutter) - 2)
        lines.append(f"{paint('gutter', str(number).rjust(len(gutter) - 1) + ' │')} {shown.text}".rstrip())
        for mark in sorted(by_line[number], key=lambda m: (not m.primary, m.label.span.start)):
            lines.append(f"{bar} {_underline(shown, number, mark, level, paint)}")
    return lines


def _underline(shown: _Line, number: int, mark: _Mark, level: Level, paint: _Paint) -> str:
    span = mark.label.span
    first = span.column - 1
    last = span.end_column - 1 if span.end_line == number else len(shown.columns) - 1
    left = shown.column(first)
    length = max(1, shown.column(max(last, first)) - left)
    text = printable(mark.label.text)
    if span.end_line != number:
        text = f"{text} (to line {span.end_line})" if text else f"(to line {span.end_line})"
    stroke = ("^" if mark.primary else "-") * length
    style = level.value if mark.primary else "gutter"
    return " " * left + paint(style, f"{stroke} {text}".rstrip())


@dataclass(frozen=True)
class _Line:
    """A source line as shown. ``columns[i]`` is the screen column of character ``i`` (and of the end)."""

    text: str
    columns: list[int]

    def column(self, index: int) -> int:
        return self.columns[min(max(index, 0), len(self.columns) - 1)]

    @classmethod
    def of(cls, raw: str, marks: list[_Mark], width: int) -> _Line:
        offset = _window(raw, marks, width)
        visible = raw[offset : offset + width]
        pieces, columns, position = [], [], 0
        if offset:
            pieces.append("…")
            position = 1
        columns += [0] * offset
        for character in visible:
            shown = _picture(character, position)
            columns.append(position)
            pieces.append(shown)
            position += sum(map(_cells, shown))
        columns += [position] * (len(raw) - offset - len(visible) + 1)
        if offset + width < len(raw):
            pieces.append("…")
        return cls("".join(pieces), columns)


def _window(raw: str, marks: list[_Mark], width: int) -> int:
    """Where to start showing a line that is too long to be shown whole."""
    if len(raw) <= width:
        return 0
    first = min(mark.label.span.column for mark in marks) - 1
    return max(0, min(first - width // 4, len(raw) - width))


def _picture(character: str, position: int) -> str:
    if character == "\t":
        return " " * (TAB_WIDTH - position % TAB_WIDTH)
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def printable(text: str, keep_newlines: bool = False) -> str:
    """``text`` with everything that a terminal might act on replaced."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (keep_newlines and c == "\n") else "\N{REPLACEMENT CHARACTER}" for c in text)
