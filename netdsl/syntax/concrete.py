"""The concrete tree: every word and sign of a file in its rule, for tools that write text again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from netdsl.diagnostics import Diagnostics
from netdsl.source import Source
from netdsl.syntax import tables
from netdsl.syntax.lalr import Automaton
from netdsl.syntax.lexer import Token, tokenize


@dataclass(slots=True, eq=False)
class Concrete:
    """One reduced rule, or the name behind ``->`` in ``net.lark``, with its words, signs and rules in order."""

    rule: str
    children: list[Concrete | Token]

    @property
    def first(self) -> Token | None:
        """The first token below; None of an empty file."""
        node: Concrete | Token = self
        while isinstance(node, Concrete):
            if not node.children:
                return None
            node = node.children[0]
        return node


@dataclass(slots=True)
class Comment:
    """A comment, without the blanks behind it. ``own_line``: nothing stands before it on its line."""

    text: str
    start: int
    own_line: bool
    blank_lines: int
    """Empty lines above it (of an ``own_line`` one)."""


@dataclass(slots=True)
class Written:
    """A file as it was written: its tree, all tokens (the last is the end), and the comments before each of them."""

    source: Source
    root: Concrete
    tokens: list[Token]
    comments: list[list[Comment]] = field(default_factory=list)
    blank_lines: list[int] = field(default_factory=list)
    """Empty lines directly above each token, 0 where it does not begin a line."""


def read_concrete(source: Source) -> Written:
    """The concrete tree of a file that ``parse`` takes without errors."""
    tokens = tokenize(source, Diagnostics())
    grammar = tables.load()
    names = {name for _, _, name, _, _ in grammar.rules}
    build = {name: partial(Concrete, name) for name in names}
    root = Automaton(grammar, build, lambda *_: None).run(tokens)
    assert isinstance(root, Concrete)
    written = Written(source, root, tokens)
    end = 0
    for token in tokens:
        comments, blank_lines = _between(source.text, end, token.start)
        written.comments.append(comments)
        written.blank_lines.append(blank_lines)
        end = token.end
    return written


def _between(text: str, start: int, end: int) -> tuple[list[Comment], int]:
    """The comments between two tokens, and the empty lines directly above the second."""
    comments: list[Comment] = []
    own_line, blanks = start == 0, 0
    position = start
    lines = text[start:end].split("\n")
    for number, line in enumerate(lines):
        stripped = line.strip(" \t\r")
        if stripped:
            comments.append(Comment(stripped, position + line.index("#"), own_line, blanks))
            blanks = 0
        elif 0 < number < len(lines) - 1 or (number == 0 and start == 0 and len(lines) > 1):
            blanks += 1
        own_line = True
        position += len(line) + 1
    return comments, blanks


def walk(root: Concrete) -> Iterator[Concrete]:
    """All rules, in reading order."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(child for child in reversed(node.children) if isinstance(child, Concrete))
