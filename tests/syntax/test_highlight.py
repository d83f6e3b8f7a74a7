"""Colours for editors and Pygments, held to the lexer of the language."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pygments import token
from pygments.lexer import RegexLexer

from netdsl.diagnostics import Diagnostics
from netdsl.source import Source
from netdsl.syntax import tables, textmate, words
from netdsl.syntax.highlight import NetLexer
from netdsl.syntax.lexer import tokenize

ROOT = Path(__file__).parents[2]
ZOO = sorted((ROOT / "zoo").rglob("*.net"))
KEYWORDS = {*words.DECLARATIONS, *words.CONTROL, *words.OPERATORS, *words.CONSTANTS, *words.SELF}
SAMPLE = 'net A(k: size = 3x3) { # c\n  x = in -> conv(8, k, w=1.5e-3) -> relu as net\n  use "a # b" and 1 ** -2\n}'
Pieces = list[tuple[int, str, str]]
"""(offset, text, sort) of all words and signs, comments left out."""


def texts() -> Iterator[Any]:
    yield pytest.param(SAMPLE, id="sample")
    for path in ZOO:
        yield pytest.param(path.read_text(encoding="utf-8"), id=path.stem)


def by_lexer(text: str) -> Pieces:
    sorts = {"INT": "number", "FLOAT": "number", "DIMS": "number", "STRING": "string", "NAME": "word"}
    found = []
    for item in tokenize(Source("t", text), Diagnostics())[:-1]:
        sort = "word" if item.text in KEYWORDS else sorts.get(item.kind, "sign")
        found.append((item.start, item.text, sort))
    return found


def by_pygments(text: str) -> Pieces:
    found = []
    for offset, kind, value in NetLexer().get_tokens_unprocessed(text):
        if kind in token.Comment or kind in token.Whitespace:
            continue
        assert kind is not token.Error, value
        found.append((offset, value, _pygments_sort(kind)))
    return found


def _pygments_sort(kind: Any) -> str:
    if kind in token.Number:
        return "number"
    if kind in token.String:
        return "string"
    return "word" if kind in token.Name or kind in token.Keyword or kind is token.Operator.Word else "sign"


def by_textmate(text: str) -> Pieces:
    """What an editor does: at each place the first pattern that fits there."""
    patterns = [(item["name"], re.compile(item["match"])) for item in textmate.grammar()["patterns"]]
    found, position = [], 0
    while position < len(text):
        matches = ((name, pattern.match(text, position)) for name, pattern in patterns)
        name, match = next(((n, m) for n, m in matches if m), ("", None))
        if match is None:
            assert text[position].isspace(), text[position : position + 10]
            position += 1
            continue
        if not name.startswith("comment"):
            found.append((position, match.group(), _textmate_sort(name)))
        position = match.end()
    return found


def _textmate_sort(name: str) -> str:
    if name.startswith("constant.numeric"):
        return "number"
    if name.startswith("string"):
        return "string"
    is_sign = name.startswith("punctuation") or name in ("keyword.operator.net", "keyword.operator.pipe.net")
    return "sign" if is_sign else "word"


def test_keywords_are_those_of_the_grammar() -> None:
    assert set(tables.load().keywords) == KEYWORDS


@pytest.mark.parametrize("text", list(texts()))
def test_both_see_what_the_lexer_sees(text: str) -> None:
    expected = by_lexer(text)
    assert by_pygments(text) == expected
    assert by_textmate(text) == expected


def test_the_file_is_up_to_date() -> None:
    stored = files("netdsl.grammar").joinpath(textmate.FILE).read_text(encoding="utf-8")
    assert stored == textmate.dump(), "run `python -m netdsl.syntax.textmate`"


def test_kinds() -> None:
    kinds = {value: kind for _, kind, value in NetLexer().get_tokens_unprocessed(SAMPLE)}
    assert kinds["A"] is token.Name.Class
    assert kinds["conv"] is kinds["relu"] is token.Name.Function
    assert kinds["w"] is token.Name.Variable
    assert kinds["3x3"] is token.Number.Other
    assert kinds["in"] is token.Name.Builtin.Pseudo
    assert kinds["# c"] is token.Comment.Single


def test_the_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"]["pygments.lexers"]["netdsl"].partition(":")
    lexer = getattr(import_module(module), name)
    assert issubclass(lexer, RegexLexer) and lexer.filenames == ["*.net"]
