"""The TextMate grammar ``grammar/net.tmLanguage.json``, by which editors colour ``.net`` files.

``python -m netdsl.syntax.textmate`` writes it anew; a test holds the file to this module, and this module to the lexer.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from netdsl.syntax import words

FILE = "net.tmLanguage.json"
SCOPE = "source.net"

PATTERNS: tuple[tuple[str, str], ...] = (
    ("comment.line.number-sign", words.COMMENT),
    ("string.quoted.double", words.STRING),
    ("constant.numeric.size", words.SIZE),
    ("constant.numeric.float", words.FLOAT),
    ("constant.numeric.integer", words.INTEGER),
    ("entity.name.label", rf"(?<=\bas ){words.NAME}"),
    ("entity.name.type", rf"(?:(?<=\bnet )|(?<=\bblock )|(?<=\btrain )){words.NAME}"),
    ("keyword.other.declaration", words.any_of(words.DECLARATIONS)),
    ("keyword.control", words.any_of(words.CONTROL)),
    ("keyword.operator.word", words.any_of(words.OPERATORS)),
    ("constant.language", words.any_of(words.CONSTANTS)),
    ("variable.language", words.any_of(words.SELF)),
    ("entity.name.function", rf"\b{words.CALLED}"),
    ("entity.name.function.stage", words.STAGE),
    ("variable.parameter", rf"\b{words.ARGUMENT}"),
    ("variable.other", rf"\b{words.NAME}"),
    ("keyword.operator.pipe", words.ARROW),
    ("keyword.operator", words.SIGN),
    ("punctuation", words.PUNCTUATION),
)
"""Scopes and their patterns, the first that fits being taken; in the part that Oniguruma and Python share."""


def grammar() -> dict[str, Any]:
    """The whole grammar as JSON."""
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "netdsl",
        "scopeName": SCOPE,
        "fileTypes": ["net"],
        "patterns": [{"name": f"{scope}.net", "match": pattern} for scope, pattern in PATTERNS],
    }


def dump() -> str:
    return json.dumps(grammar(), indent=2) + "\n"


def main() -> None:
    (Path(str(files("netdsl.grammar"))) / FILE).write_text(dump(), encoding="utf-8")


if __name__ == "__main__":
    main()
