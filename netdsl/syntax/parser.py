"""Text to syntax tree, or all syntax errors of the file."""

from __future__ import annotations

from netdsl.diagnostics import Code, Diagnostics, ResourceLimit
from netdsl.source import Source
from netdsl.syntax import tables, tree
from netdsl.syntax.build import Builder
from netdsl.syntax.lalr import Automaton
from netdsl.syntax.lexer import Token, check_brackets, tokenize
from netdsl.syntax.messages import explain

MAX_BYTES = 1 << 20
MAX_ERRORS = 20
"""Of syntax; reading ends with the last of them."""


def parse(source: Source) -> tree.Program:
    """The tree of a file. Raises UserError with the first syntax errors found, ResourceLimit beyond limits."""
    found = Diagnostics(most=MAX_ERRORS)
    _check_size(source)
    tokens = tokenize(source, found)
    if not found.has_errors:
        check_brackets(source, tokens, found)
    found.raise_if_errors()
    program = _automaton(source, found).run(tokens)
    found.items.sort(key=lambda item: item.primary.span.start if item.primary else 0)
    found.raise_if_errors()
    assert isinstance(program, tree.Program)
    return program


def _check_size(source: Source) -> None:
    if len(source.text) > MAX_BYTES or len(source.text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ResourceLimit.of(
            Code.LIMIT_FILE, f"{source.name} is larger than the {MAX_BYTES // 1024:,} KiB a file may have"
        )


def _automaton(source: Source, found: Diagnostics) -> Automaton:
    def on_error(token: Token, previous: Token | None, expected: list[str]) -> None:
        title, help = explain(token, previous, expected)
        found.error(Code.SYNTAX, title, source.span(token.start, token.end), help=help)

    return Automaton(tables.load(), Builder(source, found).table, on_error)
