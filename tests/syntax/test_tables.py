"""The stored parser tables are those of the grammar, and our automaton parses what Lark parses."""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import Any

import lark
import pytest

from netdsl.diagnostics import Diagnostics
from netdsl.source import Source
from netdsl.syntax import tables
from netdsl.syntax.lalr import Automaton
from netdsl.syntax.lexer import Token, tokenize

GRAMMAR = files("netdsl.grammar").joinpath("net.lark").read_text(encoding="utf-8")

TEXT = """
use "a/b.net"
use zoo.blocks.residual: A, B
widths = [1, 2, 3,]
block B(n1, n2: int, k: size = 3x3, on: bool = yes) {
    layer head = Head(3)
    a, b = in -> conv(n1, k, pad=(1, 2), bias=no) -> bn as norm[i + 1], (x, y,)
    if not (n1 == 2 and on) or n2 >= 4 { return a } else if n1 < -2 ** -3 { return b } else { return (a, b) }
    for i, n in enumerate(widths) { a = a -> (B(n) -> C * 3 - 1) as layer -> if on { relu } else { tanh } }
    return a[0][-1] * 2 // 3 % 4 + 1.5e-3 - 2.0 / x, in
}
net N(s: string = "a\\"b") { input i, j: [3, H, W]
 output o = i -> relu, p
}
net V = N("x")
train N { target label: class
 target mask: class [3, 4]
 target map: [1, 2]
 loss 0.5 * f(a, label = b) + g(c)
 sgd(lr = 0.1)
 extra = 3
 augment flip, shift(2)
}
"""


def test_the_stored_tables_are_those_of_the_grammar() -> None:
    stored = files("netdsl.grammar").joinpath("net.tables.json").read_text(encoding="utf-8")
    assert tables.dump(tables.build(GRAMMAR)) == stored, "run python -m netdsl.syntax.tables"


def test_the_tables_are_loaded_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "build", None)
    tables.load.cache_clear()
    assert tables.load().actions


def test_only_a_line_that_begins_with_minus_is_ambiguous(caplog: pytest.LogCaptureFixture) -> None:
    lark.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(GRAMMAR, parser="lalr", lexer="contextual", debug=True)
    lark.logger.removeHandler(caplog.handler)
    conflicts = [line for line in caplog.text.splitlines() if "Conflict for terminal" in line]
    assert all("MINUS" in line for line in conflicts)


class _Shapes(dict[str, Any]):
    """Callbacks that build (rule, children), with words as their text."""

    def __missing__(self, name: str) -> Any:
        return lambda children: (name, [_leaf(child) for child in children])


def _leaf(child: Any) -> Any:
    return child.text if isinstance(child, Token) else child


def _shape(node: Any) -> Any:
    return (str(node.data), [_shape(child) for child in node.children]) if isinstance(node, lark.Tree) else str(node)


def test_the_automaton_agrees_with_lark() -> None:
    def fail(token: Token, previous: Token | None, expected: list[str]) -> bool:
        raise AssertionError((token, expected))

    tokens = tokenize(Source("text", TEXT), Diagnostics())
    ours = Automaton(tables.load(), _Shapes(), fail).run(tokens)
    engine = lark.Lark(GRAMMAR, parser="lalr", lexer="contextual", keep_all_tokens=True, maybe_placeholders=False)
    assert ours == _shape(engine.parse(TEXT))


def test_the_grammar_names_no_op() -> None:
    from netdsl.ops.base import all_ops

    words = {word for line in GRAMMAR.splitlines() if not line.startswith("//") for word in _quoted(line)}
    assert not words & set(all_ops())


def _quoted(line: str) -> list[str]:
    return line.split('"')[1::2]
