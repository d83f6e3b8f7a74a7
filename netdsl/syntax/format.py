"""The formatter: a file in the one style of the zoo, with the author's lines and comments.

Three steps: what each token is (:mod:`format_pieces`), where lines end (:mod:`format_lines`), and where everything
stands in its line (:mod:`format_columns`). The result means the same as the text, and formatting it again changes
nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import fields

from netdsl.diagnostics import Diagnostics, InternalError
from netdsl.source import Source
from netdsl.syntax.concrete import Comment, read_concrete
from netdsl.syntax.format_columns import INDENT, Columns
from netdsl.syntax.format_lines import WIDTH, Lines, break_line, choose_lines
from netdsl.syntax.format_pieces import Pieces, read_pieces
from netdsl.syntax.lexer import CLOSING, END, OPENING, tokenize
from netdsl.syntax.parser import parse
from netdsl.syntax.tree import Syntax

_ROUNDS = 8


def format_source(source: Source) -> str:
    """The text of a file in the common style. Line ends stay what they are (``\\n`` or ``\\r\\n``).

    Raises UserError where the file has syntax errors, ResourceLimit beyond limits.
    """
    program = parse(source)
    text = _settled(source)
    result = Source(source.name, text)
    if not (text == source.text or _same_words(source, result) or same_tree(program, parse(result))):
        raise InternalError("fmt")
    first_end = source.text.find("\n")
    if first_end > 0 and source.text[first_end - 1] == "\r":
        return text.replace("\n", "\r\n")
    return text


def _same_words(left: Source, right: Source) -> bool:
    """Whether two texts have the same words and signs, and so the same tree; much faster than to make that."""
    one, other = tokenize(left, Diagnostics()), tokenize(right, Diagnostics())
    return [(token.kind, token.text) for token in one] == [(token.kind, token.text) for token in other]


def same_tree(left: Syntax, right: Syntax) -> bool:
    """Whether two trees say the same, wherever it stands."""
    stack: list[tuple[object, object]] = [(left, right)]
    while stack:
        one, other = stack.pop()
        if type(one) is not type(other):
            return False
        if isinstance(one, Syntax):
            names = [item.name for item in fields(one) if item.name not in ("span", "source")]
            stack += [(getattr(one, name), getattr(other, name)) for name in names]
        elif isinstance(one, tuple) and isinstance(other, tuple):
            if len(one) != len(other):
                return False
            stack += zip(one, other, strict=True)
        elif one != other:
            return False
    return True


def _settled(source: Source) -> str:
    """Formatted until it stays as it is: what is moved can come to stand nearly below something else."""
    text = source.text
    for _ in range(_ROUNDS):
        before, text = text, _formatted(Source(source.name, text), align=True)
        if text == before:
            return text
    return _formatted(Source(source.name, text), align=False)


def _formatted(source: Source, align: bool) -> str:
    pieces = read_pieces(read_concrete(source))
    lines = choose_lines(pieces)
    if not align:
        lines.unaligned.update(range(-len(pieces.tokens), len(pieces.tokens)))
    columns = _placed(lines)
    while True:
        shortened = [_shorten(columns, line) for line in columns.ranges if _is_too_long(columns, line)]
        if not any(shortened):
            break
        columns = _placed(lines)
    rows = list(_rows(pieces, columns))
    while rows and not rows[0]:
        rows.pop(0)
    return "\n".join(rows) + "\n" if rows else ""


def _placed(lines: Lines) -> Columns:
    columns = Columns(lines)
    columns.place()
    return columns


def _is_too_long(columns: Columns, line: range) -> bool:
    last = line.stop - 1
    return columns.columns[last] + len(columns.lines.pieces.tokens[last].text) > WIDTH


def _shorten(columns: Columns, line: range) -> bool:
    """Give up lining things up in a line that is too long, then break it. False where nothing is left to do."""
    padded = columns.padded(line)
    columns.lines.unaligned |= padded
    return bool(padded) or break_line(columns.lines, line)


# -- text --------------------------------------------------------------------------------------------


def _rows(pieces: Pieces, columns: Columns) -> Iterator[str]:
    for line in columns.ranges:
        yield from _above(pieces, columns, line.start)
        yield _row(pieces, columns, line)
    yield from _above(pieces, columns, len(pieces.tokens) - 1)


def _row(pieces: Pieces, columns: Columns, line: range) -> str:
    row = ""
    for number in line:
        row = row.ljust(columns.columns[number]) + pieces.tokens[number].text
    for comment in pieces.written.comments[line.stop][:1]:
        if not comment.own_line:
            row = row.ljust(columns.comments[line.stop - 1]) + comment.text
    return row


def _above(pieces: Pieces, columns: Columns, number: int) -> Iterator[str]:
    """Empty lines and comments above the line that begins with a token (or the end)."""
    kind = pieces.tokens[number].kind
    column = 0 if kind == END else columns.columns[number] + (INDENT if kind in CLOSING else 0)
    comments = [comment for comment in pieces.written.comments[number] if comment.own_line]
    after_opener = number > 0 and pieces.tokens[number - 1].kind in OPENING
    blanks = [comment.blank_lines > 0 for comment in comments] + [pieces.written.blank_lines[number] > 0]
    if kind in CLOSING or kind == END:
        blanks[-1] = False
    blanks[0] = (blanks[0] or _parts(pieces, columns, number)) and not after_opener
    for blank, comment in zip(blanks, [*comments, None], strict=True):
        if blank:
            yield ""
        if isinstance(comment, Comment):
            yield " " * column + comment.text


def _parts(pieces: Pieces, columns: Columns, number: int) -> bool:
    """Whether a declaration is parted from the one above: where either of them has several lines."""
    position = bisect_left(pieces.declarations, number)
    if position in (0, len(pieces.declarations)) or pieces.declarations[position] != number:
        return False
    ends = [*pieces.declarations[position : position + 2], len(pieces.tokens) - 1]
    pairs = zip(pieces.declarations[position - 1 :], ends[:2], strict=False)
    return any(columns.line_of[first] != columns.line_of[after - 1] for first, after in pairs)
