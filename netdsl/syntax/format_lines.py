"""Where lines end: where the author ended them, where they must, and where a line would be too long."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from netdsl.syntax.format_pieces import Pieces
from netdsl.syntax.lexer import OPENING

WIDTH = 120


@dataclass
class Lines:
    """``breaks`` are the tokens that begin a line. The columns of ``moved`` tokens in the text mean nothing any more,
    because a break was put in or taken out before them. ``unaligned`` ones stand where they fall, because lining them
    up made their line too long."""

    pieces: Pieces
    breaks: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    unaligned: set[int] = field(default_factory=set)

    def author_column(self, number: int) -> int:
        """Where a token stands in the text as it was written, from 0."""
        return self._author_columns[number]

    @cached_property
    def _author_columns(self) -> list[int]:
        column_of = self.pieces.written.source.column_of
        return [column_of(token.start) - 1 for token in self.pieces.tokens]

    def ranges(self) -> list[range]:
        """The tokens of each line, the end of the file left out."""
        firsts = [*sorted(self.breaks), len(self.pieces.tokens) - 1]
        return [range(first, after) for first, after in pairwise(firsts) if first < after]

    def find_moved(self) -> None:
        self.moved.clear()
        moved = False
        for number, token in enumerate(self.pieces.tokens):
            if token.fresh or number in self.breaks:
                moved = not (token.fresh and number in self.breaks)
            if moved:
                self.moved.add(number)


def choose_lines(pieces: Pieces) -> Lines:
    """The author's line ends, made regular."""
    lines = Lines(pieces, {0})
    comments = pieces.written.comments
    tokens = pieces.tokens
    for number in range(1, len(tokens)):
        token = tokens[number]
        if comments[number] or (token.fresh and number not in pieces.joined):
            lines.breaks.add(number)
    for number in sorted(lines.breaks):
        if number and tokens[number - 1].kind == "ARROW" and not comments[number]:
            lines.breaks.discard(number)
            lines.breaks.add(number - 1)
    for braces in pieces.braces.values():
        inner = [*braces.statements[:1], braces.closer]
        if len(braces.statements) > 1 or lines.breaks.intersection(inner):
            expand_braces(lines, braces.opener)
    lines.breaks.update(pieces.declarations)
    lines.find_moved()
    return lines


def expand_braces(lines: Lines, opener: int) -> None:
    """Each statement on lines of its own, and the closing brace too."""
    braces = lines.pieces.braces[opener]
    if braces.statements or lines.pieces.written.comments[braces.closer]:
        lines.breaks.update((*braces.statements, braces.closer))
    else:
        lines.breaks.discard(braces.closer)


def break_line(lines: Lines, line: range) -> bool:
    """Break a line that is too long at its outermost pipes, braces or commas. False where nothing can be broken."""
    options = [(way, number) for number in line if (way := _way_to_break(lines, line, number)) is not None]
    if not options:
        return False
    best = min(way for way, _ in options)
    for number in (number for way, number in options if way == best):
        if number in lines.pieces.braces:
            expand_braces(lines, number)
        elif lines.pieces.tokens[number].kind == "ARROW":
            lines.breaks.add(number)
        else:
            lines.breaks.update(_unbroken_items(lines, number))
    lines.find_moved()
    return True


def _way_to_break(lines: Lines, line: range, number: int) -> tuple[int, int] | None:
    """(depth, preference) of breaking a line at a token, the smallest being the best; None where it can't be."""
    pieces, kind = lines.pieces, lines.pieces.tokens[number].kind
    depth = pieces.depth[number]
    if kind == "ARROW":
        return (depth, 0) if number != line.start else None
    braces = pieces.braces.get(number)
    if braces is not None:
        return (depth, 1) if braces.statements and braces.closer not in lines.breaks else None
    return (depth, 2) if kind in OPENING and _unbroken_items(lines, number) else None


def _unbroken_items(lines: Lines, opener: int) -> list[int]:
    """Where the items of a bracket with commas begin, those that begin a line left out."""
    pieces = lines.pieces
    inner = range(opener + 1, pieces.partner[opener])
    commas = [n for n in inner if pieces.inside[n] == opener and pieces.tokens[n].kind == "COMMA"]
    if not commas:
        return []
    begins = [opener + 1, *(n + 1 for n in commas)]
    closer = pieces.partner[opener]
    return [n for n in begins if n not in lines.breaks and n != closer]
