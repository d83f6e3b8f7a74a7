"""A Pygments lexer: ``pygmentize net.net``, and coloured ``.net`` snippets in whatever uses Pygments."""

from __future__ import annotations

from typing import ClassVar

from pygments import token
from pygments.lexer import RegexLexer

from netdsl.syntax import words


class NetLexer(RegexLexer):
    """The language of ``.net`` files."""

    name = "netdsl"
    aliases: ClassVar[list[str]] = ["netdsl", "net"]
    filenames: ClassVar[list[str]] = ["*.net"]
    mimetypes: ClassVar[list[str]] = ["text/x-netdsl"]
    url = ""
    tokens: ClassVar[dict[str, list[tuple[object, ...]]]] = {
        "root": [
            (r"\s+", token.Whitespace),
            (words.COMMENT, token.Comment.Single),
            (words.STRING, token.String.Double),
            (words.SIZE, token.Number.Other),
            (words.FLOAT, token.Number.Float),
            (words.INTEGER, token.Number.Integer),
            (rf"(?<=\bas ){words.NAME}", token.Name.Label),
            (rf"(?:(?<=\bnet )|(?<=\bblock )|(?<=\btrain )){words.NAME}", token.Name.Class),
            (words.any_of(words.DECLARATIONS), token.Keyword.Declaration),
            (words.any_of(words.CONTROL), token.Keyword),
            (words.any_of(words.OPERATORS), token.Operator.Word),
            (words.any_of(words.CONSTANTS), token.Keyword.Constant),
            (words.any_of(words.SELF), token.Name.Builtin.Pseudo),
            (words.CALLED, token.Name.Function),
            (words.STAGE, token.Name.Function),
            (words.ARGUMENT, token.Name.Variable),
            (words.NAME, token.Name),
            (words.ARROW, token.Operator),
            (words.SIGN, token.Operator),
            (words.PUNCTUATION, token.Punctuation),
        ]
    }
