"""Text to tokens. All lexical errors of a file are found at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from netdsl.diagnostics import Code, Diagnostics, Label, ResourceLimit
from netdsl.source import Source, Span
from netdsl.syntax import tables

MAX_TOKENS = 200_000
MAX_DEPTH = 64
END = "$END"
OPENING = {"LPAR": ")", "CALL": ")", "LSQB": "]", "INDEX": "]", "LBRACE": "}"}
CLOSING = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}
# What is left when no terminal matches, each a lexical error with its own message.
_ERRORS = '(?P<BAD_STRING>"[^"\n]*"?)|(?P<BAD_NUMBER>[0-9][A-Za-z0-9_.]*)|(?P<BAD_CHARACTER>.)'


@dataclass(slots=True)
class Token:
    """One word or sign. ``fresh`` tokens are the first on their line."""

    kind: str
    text: str
    start: int
    end: int
    fresh: bool


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(f"(?P<BAD_ARROW>[=~|]>|→)|{tables.load().pattern}|{_ERRORS}", re.DOTALL)


def tokenize(source: Source, found: Diagnostics) -> list[Token]:
    """Tokens of ``source``, closed by an END token. Errors go to ``found``; raises ResourceLimit."""
    grammar = tables.load()
    keywords, ignored = grammar.keywords, frozenset(grammar.ignored)
    tokens: list[Token] = []
    fresh = True
    for match in _pattern().finditer(source.text):
        kind = match.lastgroup or ""
        text = match.group()
        if kind in ignored:
            fresh = fresh or "\n" in text
            continue
        if kind == "NAME":
            kind = keywords.get(text, kind)
        elif kind.startswith("BAD_"):
            _lexical_error(kind, source.span(match.start(), match.end()), found)
            continue
        tokens.append(Token(kind, text, match.start(), match.end(), fresh))
        fresh = False
        if len(tokens) > MAX_TOKENS:
            raise _too_many(source.span(match.start(), match.end()))
    tokens.append(Token(END, "", len(source.text), len(source.text), True))
    return tokens


def comments(source: Source) -> list[Span]:
    """Every comment of a text, from its ``#`` to the end of its line."""
    found = _pattern().finditer(source.text)
    return [source.span(match.start(), match.end()) for match in found if match.lastgroup == "COMMENT"]


def _too_many(span: Span) -> ResourceLimit:
    return ResourceLimit.of(Code.LIMIT_FILE, f"a file may have at most {MAX_TOKENS:,} words and signs", span)


def _lexical_error(kind: str, span: Span, found: Diagnostics) -> None:
    _LEXICAL[kind](span, found)


def _bad_string(span: Span, found: Diagnostics) -> None:
    if span.text.endswith('"') and len(span.text) > 1:
        found.error(Code.BAD_CHARACTER, 'a string may hold the escapes \\" \\\\ \\n \\t, and no other backslash', span)
    else:
        found.error(
            Code.UNTERMINATED_STRING,
            "this string has no closing quote",
            span,
            label="a string ends on its line",
            help='close it with `"`',
        )


def _bad_number(span: Span, found: Diagnostics) -> None:
    text = span.text
    help = None
    if re.fullmatch(r"[0-9]+([xX*][0-9]+)+", text):
        help = f"a size is written with a small x: `{text.lower()}`"
    elif re.fullmatch(r"[0-9]+\.", text):
        help = f"write `{text}0` or `{text[:-1]}`"
    elif "_" in text and text.replace("_", "").isdigit():
        help = f"write `{text.replace('_', '')}`"
    found.error(Code.BAD_NUMBER, f"`{text}` is neither a number nor a size", span, help=help)


_CHARACTER_HINTS = {
    "'": 'a string is written in double quotes: `"..."`',
    ";": "statements end with their line; leave it out",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "×": "write `x`, as in `3x3`",
    "–": "write `-`",
    "−": "write `-`",
    "“": 'write `"`',
    "”": 'write `"`',
    "\N{NO-BREAK SPACE}": "this looks like a blank but is not; write a blank",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "this byte-order mark can't stand here; delete it",
}


def _bad_character(span: Span, found: Diagnostics) -> None:
    character = span.text
    shown = f"`{character}`" if character.isprintable() else f"the character U+{ord(character):04X}"
    found.error(Code.BAD_CHARACTER, f"{shown} has no meaning here", span, help=_CHARACTER_HINTS.get(character))


def _bad_arrow(span: Span, found: Diagnostics) -> None:
    found.error(Code.BAD_CHARACTER, f"`{span.text}` has no meaning here", span, help="the pipe is written `->`")


_LEXICAL = {
    "BAD_ARROW": _bad_arrow,
    "BAD_STRING": _bad_string,
    "BAD_NUMBER": _bad_number,
    "BAD_CHARACTER": _bad_character,
}


def check_brackets(source: Source, tokens: list[Token], found: Diagnostics) -> None:
    """Every bracket has its partner and none is nested too deeply."""
    stack: list[Token] = []
    for token in tokens:
        if token.kind in OPENING:
            stack.append(token)
            if len(stack) > MAX_DEPTH:
                span = source.span(token.start, token.end)
                raise ResourceLimit.of(Code.LIMIT_DEPTH, f"brackets are nested more than {MAX_DEPTH} deep", span)
        elif token.kind in CLOSING:
            if not stack or OPENING[stack[-1].kind] != token.text:
                _unmatched(source, token, stack[-1] if stack else None, found)
                return
            stack.pop()
    if stack:
        _unclosed(source, stack[-1], found)


def _unmatched(source: Source, token: Token, opener: Token | None, found: Diagnostics) -> None:
    span = source.span(token.start, token.end)
    if opener is None:
        found.error(Code.UNCLOSED_BRACKET, f"this `{token.text}` closes nothing", span)
        return
    found.error(
        Code.UNCLOSED_BRACKET,
        f"expected `{OPENING[opener.kind]}` before this `{token.text}`",
        span,
        secondary=[Label(source.span(opener.start, opener.end), f"this `{opener.text}` is still open")],
    )


def _unclosed(source: Source, opener: Token, found: Diagnostics) -> None:
    found.error(
        Code.UNCLOSED_BRACKET,
        f"this `{opener.text}` is never closed",
        source.span(opener.start, opener.end),
        label=f"needs a `{OPENING[opener.kind]}`",
    )
