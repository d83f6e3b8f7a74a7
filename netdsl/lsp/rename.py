"""Giving a name to something else: every mention in the file, or the reason why not."""

from __future__ import annotations

import re

from netdsl.diagnostics import Code, UserError
from netdsl.lsp.document import Document
from netdsl.lsp.symbols import Symbol
from netdsl.source import Span
from netdsl.syntax import tables, words


def rename(document: Document, offset: int, name: str) -> list[Span]:
    """The places to write ``name`` at. Raises UserError where that would not mean the same."""
    symbol = renamed_symbol(document, offset)
    if not re.fullmatch(words.NAME, name) or name in tables.load().keywords:
        raise UserError.of(Code.SYNTAX, f"`{name}` is not a name")
    other = document.symbols.collides(symbol, name)
    if other is not None:
        raise UserError.of(Code.DUPLICATE_NAME, f"`{name}` is taken by a {other.kind} at line {other.declaration.line}")
    return sorted(symbol.mentions, key=lambda span: span.start)


def renamed_symbol(document: Document, offset: int) -> Symbol:
    """What is named at an offset. Raises UserError where nothing of this file is."""
    found = document.symbols.at(offset)
    if found is None:
        raise UserError.of(Code.UNKNOWN_NAME, "there is no name of this file here")
    if found[0].declaration.source is not document.source:
        raise UserError.of(
            Code.UNKNOWN_NAME, f"`{found[0].name}` is declared in {found[0].declaration.source.name}; rename it there"
        )
    return found[0]
