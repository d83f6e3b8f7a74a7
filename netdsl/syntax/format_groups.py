"""Signs that the author put below one another: arrows, ``as``, the ``=`` of names, and comments behind lines.

A run is a piece of text without empty lines, of one body, in which at most the last statement has several lines. In a
run, the first arrows of the lines may stand below one another, and so the second ones, and so on. They are meant to
where they nearly do and one of them has more blanks before it than it needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.syntax.format_lines import Lines

_COMMENT = "comment"
_NEAR = 3
"""Columns by which the author may have missed."""


@dataclass(frozen=True)
class _Sign:
    """``number`` is a token, or ``~token`` for the comment behind it; ``key``: what it can be lined up with."""

    number: int
    line: int
    key: tuple[int, str, int]
    column: int
    padded: bool


def find_groups(lines: Lines, ranges: list[range], outdented: set[int]) -> dict[int, int]:
    """Token (or ``~token``, the comment behind it) -> the number of the group that stands in one column."""
    by_key: dict[tuple[int, str, int], list[_Sign]] = defaultdict(list)
    for number, (run, line) in enumerate(_runs(lines, ranges)):
        for sign in _signs(lines, line, (number, run), line.start in outdented):
            by_key[sign.key].append(sign)
    chains = [_meant(chain) for signs in by_key.values() for chain in _chains(signs)]
    return {sign.number: group for group, chain in enumerate(chains) if len(chain) > 1 for sign in chain}


def _meant(chain: list[_Sign]) -> list[_Sign]:
    """Those with blanks to spare, and what they were lined up with: the longest line, which needs none."""
    columns = {sign.column for sign in chain if sign.padded}
    longest = {sign.column for sign in chain if not sign.padded and columns and sign.column >= min(columns)}
    columns |= (longest & columns) or longest
    return [sign for sign in chain if sign.column in columns]


def _chains(signs: list[_Sign]) -> Iterator[list[_Sign]]:
    """Signs of one key that nearly stand below one another. Only ``as`` may leave out lines."""
    chain: list[_Sign] = []
    for sign in signs:
        if chain:
            follows = sign.key[1] == "AS" or sign.line == chain[-1].line + 1
            if not follows or abs(sign.column - chain[-1].column) > _NEAR:
                yield chain
                chain = []
        chain.append(sign)
    yield chain


def _runs(lines: Lines, ranges: list[range]) -> Iterator[tuple[int, range]]:
    """Each line with the number of its run."""
    pieces = lines.pieces
    written = pieces.written
    several = {line.start for line in ranges if line.start not in pieces.starts}
    long_statements = {pieces.statement[number] for number in several}
    run, statement, body = 0, -1, -1
    for line in ranges:
        own = pieces.statement[line.start]
        blank = written.blank_lines[line.start] or any(item.blank_lines for item in written.comments[line.start])
        left = own != statement and statement in long_statements
        if blank or left or pieces.inside[own] != body:
            run += 1
        statement, body = own, pieces.inside[own]
        yield run, line


def _signs(lines: Lines, line: range, place: tuple[int, int], outdented: bool) -> Iterator[_Sign]:
    """The signs of one line; ``place`` is its number and that of its run."""
    line_number, run = place
    pieces = lines.pieces
    tokens = pieces.tokens
    seen = {"ARROW": int(outdented), "AS": 0, "EQUAL": 0}
    for number in line:
        kind = tokens[number].kind
        if kind not in seen or (kind == "EQUAL" and number not in pieces.aligned_equals):
            continue
        seen[kind] += 1
        if number != line.start and number not in lines.moved and number not in lines.unaligned:
            padded = tokens[number].start - tokens[number - 1].end > 1
            yield _Sign(number, line_number, (run, kind, seen[kind]), lines.author_column(number), padded)
    last = line.stop - 1
    for comment in pieces.written.comments[line.stop][:1]:
        if not comment.own_line and last not in lines.moved and ~last not in lines.unaligned:
            column = pieces.written.source.column_of(comment.start) - 1
            yield _Sign(~last, line_number, (run, _COMMENT, 0), column, comment.start - tokens[last].end > 2)
