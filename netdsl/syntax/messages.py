"""Syntax errors in plain words: what stands there, what could, and which slip it probably is."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.record import record
from netdsl.syntax.lexer import END, Token

_VALUE_STARTS = frozenset({"NAME", "INT", "LPAR", "STRING"})
_OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "FLOOR", "PERCENT", "POWER", "COMPARE", "AND", "OR"})
_SIGNS = {
    "ARROW": "`->`",
    "AS": "`as`",
    "CALL": "`(`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "DOT": "`.`",
    "IN": "`in`",
    "ELSE": "`else`",
    "STRING": "a string",
    "NAME": "a name",
    END: "the end of the file",
}
_DECLARATIONS = frozenset({"NET", "BLOCK", "USE", "TRAIN"})
_WORDS_ELSEWHERE = {
    "def": "a block is declared `block Name(...) { ... }`",
    "class": "a block is declared `block Name(...) { ... }`",
    "import": 'bring in a file with `use "file.net"`',
    "from": 'bring in a file with `use "file.net"`',
    "while": "loops run over known values: `for x in list { ... }`",
    "elif": "write `else if`",
    "let": "write `name = value`",
    "var": "write `name = value`",
    "const": "write `name = value`",
    "lambda": "declare a `block`",
    "True": "write `yes`",
    "False": "write `no`",
    "true": "write `yes`",
    "false": "write `no`",
}


@record
class Slip:
    """What went wrong at ``token`` after ``previous``, with the terminals that could have followed."""

    token: Token
    previous: Token | None
    expected: frozenset[str]

    def follows(self, *kinds: str) -> bool:
        return self.previous is not None and self.previous.kind in kinds


def explain(token: Token, previous: Token | None, expected: list[str]) -> tuple[str, str | None]:
    """(title, help) of the error at ``token``."""
    slip = Slip(token, previous, frozenset(expected))
    return f"expected {wanted(slip.expected)}, found {_shown(token)}", _hint(slip)


def _shown(token: Token) -> str:
    return "the end of the file" if token.kind == END else f"`{token.text}`"


def wanted(expected: frozenset[str]) -> str:
    """The acceptable terminals as a phrase; groups of them under one word."""
    words = []
    left = set(expected)
    if left >= _VALUE_STARTS:
        statement = "RETURN" in left
        words.append("a statement" if statement else "a value")
        left -= {"NAME", "INT", "FLOAT", "DIMS", "STRING", "LPAR", "LSQB", "MINUS", "YES", "NO", "IF", "IN", "NOT"}
        left -= {"INPUT", "OUTPUT", "LAYER", "RETURN", "FOR"}
    elif left >= _DECLARATIONS:
        words.append("`net`, `block`, `train`, `use`")
        left -= _DECLARATIONS | {"NAME", END}
    if left & _OPERATORS:
        words.append("an operator")
        left -= _OPERATORS
    left -= {"CALL", "INDEX"} if len(left) > 2 else {"INDEX"}
    words += sorted({_SIGNS.get(kind, f"`{kind.lower()}`") for kind in left})
    if len(words) > 5:
        words = [word for word in words if word not in ("an operator", "`as`", "`else`")]
    if not words:
        return "something else"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _hint(slip: Slip) -> str | None:
    for rule in _HINTS:
        hint = rule(slip)
        if hint is not None:
            return hint
    return None


def _double_equals(slip: Slip) -> str | None:
    if slip.token.kind == "COMPARE" and slip.token.text == "==" and "EQUAL" in slip.expected:
        return "`=` binds a name; `==` compares"
    if slip.token.kind == "EQUAL" and "COMPARE" in slip.expected:
        return "`==` compares; `=` binds a name"
    return None


def _foreign_word(slip: Slip) -> str | None:
    for token in (slip.token, slip.previous):
        if token is not None and token.text in _WORDS_ELSEWHERE and not slip.follows("AS"):
            return _WORDS_ELSEWHERE[token.text]
    return None


def _arrow_spelling(slip: Slip) -> str | None:
    if slip.token.text == ">" and slip.follows("MINUS", "EQUAL"):
        return "the pipe is written `->`"
    if slip.token.kind == "EQUAL" and slip.follows("EQUAL"):
        return "one `=` is enough, and the pipe is written `->`"
    if slip.token.kind == "COMPARE" and slip.token.text in (">=", "<="):
        return "the pipe is written `->`"
    return None


def _dangling_arrow(slip: Slip) -> str | None:
    if slip.token.kind == "ARROW" and slip.follows("ARROW"):
        return "one `->` is enough"
    if slip.follows("ARROW"):
        return "`->` needs a layer, a block or a group behind it"
    if slip.token.kind == "ARROW":
        return "`->` needs a value before it"
    return None


def _missing_body(slip: Slip) -> str | None:
    if "LBRACE" in slip.expected and slip.token.kind == "COLON":
        return "bodies stand in braces: `{ ... }`"
    if "LBRACE" in slip.expected and not slip.follows("RBRACE"):
        return "a body in braces follows: `{ ... }`"
    return None


def _reserved(slip: Slip) -> str | None:
    """A keyword where a name is wanted, or the other way round."""
    token, previous = slip.token, slip.previous
    if token.kind == "EQUAL" and previous is not None and previous.text == previous.kind.lower():
        return f"`{previous.text}` is a word of the language; take another name"
    if "NAME" in slip.expected and token.kind not in ("NAME", END) and token.text.isidentifier():
        return f"`{token.text}` is a word of the language; take another name"
    return None


def _blank_call(slip: Slip) -> str | None:
    if slip.token.kind == "LPAR" and slip.follows("NAME"):
        assert slip.previous is not None
        return f"no blank between a name and its bracket: `{slip.previous.text}(`"
    return None


def _missing_comma(slip: Slip) -> str | None:
    if "COMMA" in slip.expected and slip.token.kind in ("NAME", "INT", "FLOAT", "DIMS", "STRING", "YES", "NO", "LSQB"):
        return f"a `,` before `{slip.token.text}`?"
    return None


def _top_level(slip: Slip) -> str | None:
    if slip.expected == {"EQUAL"} and slip.follows("INPUT", "OUTPUT", "LAYER", "FOR", "IF", "RETURN"):
        assert slip.previous is not None
        return f"`{slip.previous.text}` belongs inside `net Name {{ ... }}`"
    if "NET" in slip.expected and slip.token.kind in ("INPUT", "OUTPUT", "LAYER", "FOR", "IF", "RETURN"):
        return f"`{slip.token.text}` belongs inside `net Name {{ ... }}`"
    if slip.token.kind in _DECLARATIONS and "RETURN" in slip.expected:
        return f"`{slip.token.text}` stands at the top of a file; is a `}}` missing above?"
    return None


_HINTS: tuple[Callable[[Slip], str | None], ...] = (
    _double_equals,
    _arrow_spelling,
    _dangling_arrow,
    _foreign_word,
    _top_level,
    _blank_call,
    _missing_body,
    _missing_comma,
    _reserved,
)
