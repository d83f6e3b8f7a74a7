"""Warnings that a file allows: ``# allow N0307`` behind the line that gives one, or on a line of its own above it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from netdsl.diagnostics import Diagnostic, Level
from netdsl.source import Source
from netdsl.syntax.lexer import comments

_ALLOW = re.compile(r"#\s*allow((?:[\s,]+N\d{4})+)")


def without_allowed(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings that no comment at their place allows. Errors are never allowed."""
    tables: dict[Source, dict[int, frozenset[str]]] = {}
    return tuple(item for item in found if not _is_allowed(item, tables))


def _is_allowed(item: Diagnostic, tables: dict[Source, dict[int, frozenset[str]]]) -> bool:
    if item.level is Level.ERROR or item.primary is None:
        return False
    span = item.primary.span
    if span.source not in tables:
        tables[span.source] = allowed_lines(span.source)
    table = tables[span.source]
    return any(item.code.id in table.get(line, ()) for line in range(span.line, span.end_line + 1))


@lru_cache(maxsize=8)  # every net of a file asks
def allowed_lines(source: Source) -> dict[int, frozenset[str]]:
    """Codes allowed on each line (1-based) that a comment speaks of."""
    table: dict[int, frozenset[str]] = {}
    for comment in comments(source):
        match = _ALLOW.match(comment.text)
        if match is None:
            continue
        alone = not source.line_text(comment.line)[: comment.column - 1].strip()
        line = comment.line + 1 if alone else comment.line
        table[line] = table.get(line, frozenset()) | frozenset(re.findall(r"N\d{4}", match[1]))
    return table
