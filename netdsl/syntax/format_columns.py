"""Which column each token comes to stand in.

A statement begins four blanks behind the line that holds its braces. A line that goes on with a statement begins four
blanks behind the line with its bracket or its statement, or, where the author put it so, exactly below an earlier token
of the same statement. Signs that the author put below one another with blanks (``->``, ``as``, ``=``, comments) stay
so; :mod:`format_groups` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.syntax.format_groups import find_groups
from netdsl.syntax.format_lines import Lines
from netdsl.syntax.lexer import CLOSING

INDENT = 4
ARROW_WIDTH = 3
_ROUNDS = 20


@dataclass
class Columns:
    """``columns`` of tokens from 0; ``comments``: the column of the comment behind a line, by its last token."""

    lines: Lines
    columns: list[int] = field(default_factory=list)
    comments: dict[int, int] = field(default_factory=dict)
    line_of: list[int] = field(default_factory=list)
    groups: dict[int, int] = field(default_factory=dict)
    """Token (or ``~t`` for the comment behind token t) -> its group of things below one another."""
    reach: dict[int, int] = field(default_factory=dict)
    """Group -> its column."""
    below: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(statement, bracket, author's column) -> the latest token there, of the lines above."""
    outdented: set[int] = field(default_factory=set)
    """The first stages of brackets that stand where the stages below them do, not where their arrows do."""
    arrows: dict[tuple[int, int], int] = field(default_factory=dict)
    """(statement, bracket) -> the latest arrow there that begins a line."""
    ranges: list[range] = field(default_factory=list)

    def indent(self, number: int) -> int:
        """The column where the line of a token begins."""
        return self.columns[self._firsts[self.line_of[number]]]

    def place(self) -> None:
        """Find all columns: rounds until things that should stand below one another do."""
        self.ranges = self.lines.ranges()
        self._firsts = [line.start for line in self.ranges]
        self.line_of = [number for number, line in enumerate(self.ranges) for _ in line]
        self.outdented = find_outdented(self)
        self.groups = find_groups(self.lines, self.ranges, self.outdented)
        self._anchors = [self._anchors_of(line) for line in self.ranges]
        while not self._settle():
            pass

    def _settle(self) -> bool:
        """False where groups push each other further and further: those are given up."""
        changed: set[int] = set()
        self.reach = dict.fromkeys(self.groups.values(), 0)
        for _ in range(_ROUNDS):
            found = self._round()
            changed = {group for group, column in found.items() if column != self.reach[group]}
            if not changed:
                return True
            self.reach = found
        self.groups = {number: group for number, group in self.groups.items() if group not in changed}
        return False

    def _round(self) -> dict[int, int]:
        tokens, tight = self.lines.pieces.tokens, self.lines.pieces.tight
        self.columns = [0] * len(tokens)
        self.below.clear()
        self.arrows.clear()
        found = dict.fromkeys(self.reach, 0)
        for line, anchors in zip(self.ranges, self._anchors, strict=True):
            end = 0
            for number in line:
                if number == line.start:
                    column = first_column(self, number)
                else:
                    column = self._grouped(number, end + (number not in tight), found)
                self.columns[number] = column
                end = column + len(tokens[number].text)
            last = line.stop - 1
            self.comments[last] = self._grouped(~last, end + 2, found)
            self.below.update(anchors)
            if tokens[line.start].kind == "ARROW":
                pieces = self.lines.pieces
                self.arrows[pieces.statement[line.start], pieces.inside[line.start]] = line.start
        return found

    def _grouped(self, number: int, natural: int, found: dict[int, int]) -> int:
        group = self.groups.get(number)
        if group is None:
            return natural
        found[group] = max(found[group], natural)
        return max(natural, self.reach[group])

    def _anchors_of(self, line: range) -> dict[tuple[int, int, int], int]:
        """What a line adds to ``below``."""
        statement, inside = self.lines.pieces.statement, self.lines.pieces.inside
        column, moved = self.lines.author_column, self.lines.moved
        return {(statement[n], inside[n], column(n)): n for n in line if n not in moved}

    def padded(self, line: range) -> set[int]:
        """The tokens of a line that have more blanks before them than they need."""
        tokens, tight = self.lines.pieces.tokens, self.lines.pieces.tight
        ends = {n: self.columns[n - 1] + len(tokens[n - 1].text) + (n not in tight) for n in line[1:]}
        return {number for number, natural in ends.items() if self.columns[number] > natural}


# -- the first token of a line -----------------------------------------------------------------------


def first_column(state: Columns, number: int) -> int:
    """The column of a token that begins a line; what stands above it is placed already."""
    pieces = state.lines.pieces
    bracket = pieces.inside[number]
    if number in pieces.starts:
        return state.indent(pieces.braces[bracket].owner) + INDENT if bracket >= 0 else 0
    token = pieces.tokens[number]
    if token.kind in CLOSING:
        opener = pieces.partner[number]
        return state.indent(pieces.braces[opener].owner if opener in pieces.braces else opener)
    if number in pieces.previous_if:
        return _else_column(state, number)
    in_statement = bracket < 0 or bracket in pieces.braces
    base = pieces.statement[number] if in_statement else bracket
    column = state.indent(base) + INDENT
    if number in state.outdented:
        return column + ARROW_WIDTH
    if bracket + 1 in state.outdented and _is_under_outdented(state, number):
        return column
    above = state.arrows.get((pieces.statement[number], bracket)) if token.kind == "ARROW" else None
    if number not in state.lines.moved:
        return _kept_column(state, number, base, column, above)
    return column if above is None else state.columns[above]


def _kept_column(state: Columns, number: int, base: int, column: int, arrow: int | None) -> int:
    """Below the token that the author put it below, else below ``arrow``, else at ``column``."""
    own = state.lines.author_column(number)
    first = state.ranges[state.line_of[base]].start
    if first not in state.lines.moved and own == state.lines.author_column(first) + INDENT:
        return column
    pieces = state.lines.pieces
    above = state.below.get((pieces.statement[number], pieces.inside[number], own), arrow)
    return column if above is None else state.columns[above]


def _else_column(state: Columns, number: int) -> int:
    """Below its ``if`` where the branch above stands on one line, else where that branch's brace does."""
    pieces = state.lines.pieces
    opener = pieces.partner[number - 1]
    if state.line_of[opener] == state.line_of[number - 1]:
        return state.columns[pieces.previous_if[number]]
    return state.indent(pieces.braces[opener].owner)


def _is_under_outdented(state: Columns, number: int) -> bool:
    """Whether a line's arrow is the one that the first stage of its bracket stands off from."""
    first = state.lines.pieces.inside[number] + 1
    return state.lines.author_column(number) == state.lines.author_column(first) - ARROW_WIDTH


def find_outdented(state: Columns) -> set[int]:
    """First stages in brackets that the author put as far right as the stages behind the arrows below."""
    pieces = state.lines.pieces
    heads = {line.start for line in state.ranges} - state.lines.moved
    arrows: dict[int, int] = {}
    for number in sorted(heads, reverse=True):
        if pieces.tokens[number].kind == "ARROW":
            arrows[pieces.inside[number]] = number
    return {
        bracket + 1
        for bracket, arrow in arrows.items()
        if bracket >= 0
        and bracket not in pieces.braces
        and bracket + 1 in heads
        and state.lines.author_column(bracket + 1) == state.lines.author_column(arrow) + ARROW_WIDTH
    }
