"""How the words and signs of the language are coloured: for editors (:mod:`textmate`) and for Pygments.

The keywords are those of ``net.lark``; a test holds this to it.
"""

from __future__ import annotations

DECLARATIONS = ("net", "block", "train", "use", "layer", "input", "output")
CONTROL = ("if", "else", "for", "return")
OPERATORS = ("and", "or", "not", "as")
CONSTANTS = ("yes", "no")
SELF = ("in",)
"""The value piped into a block."""

COMMENT = r"#[^\n]*"
STRING = r'"[^"\\\n]*(?:\\["\\nt][^"\\\n]*)*"'
SIZE = r"\b[0-9]+(?:x[0-9]+)+\b"
FLOAT = r"\b[0-9]+(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)\b"
INTEGER = r"\b[0-9]+\b"
ARROW = r"->"
SIGN = r"==|!=|<=|>=|\*\*|//|[-+*/%<>=]"
PUNCTUATION = r"[\[\](){},:.]"
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
CALLED = NAME + r"(?=\()"
STAGE = r"(?<=-> )" + NAME
"""A layer without arguments behind an arrow."""
ARGUMENT = NAME + r"(?=\s*=(?!=))"
"""A name that something is bound to."""


def any_of(words: tuple[str, ...]) -> str:
    """A pattern for whole words."""
    return rf"\b(?:{'|'.join(words)})\b"
