"""What trees come out, where they point, and that nothing but a UserError comes out otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Code, ResourceLimit, UserError, render
from netdsl.source import Source
from netdsl.syntax import tree
from netdsl.syntax.lexer import MAX_DEPTH
from netdsl.syntax.parser import MAX_BYTES, MAX_ERRORS, parse

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "tests" / "errors").glob("*.net")) + sorted((ROOT / "zoo").rglob("*.net"))
FRAGMENTS = [
    "->", "* 3", "as x", "(", ")", "{", "}", "[", "]", "=", "==", ",", ":", "in", "if", "else", "for", "net", "block",
    "train", "use", "output", "return", "layer", "3x3", "1e-4", '"', "#", "\n", "\t", "\0", "é", "→", "-", "**", "yes",
    "9" * 30, "x" * 300, "conv(3, 3x3)", "\ud800", "\\",
]  # fmt: skip


def expression(text: str) -> tree.Expr:
    (constant,) = parse(Source("t", f"v = {text}")).declarations
    assert isinstance(constant, tree.Constant)
    return constant.value


def test_pipes_bind_loosest_and_as_binds_one_stage() -> None:
    pipe = expression("x + 1 -> f * 3 as a -> g")
    assert isinstance(pipe, tree.Pipe)
    first, second, third = pipe.stages
    assert isinstance(first, tree.Arithmetic) and isinstance(third, tree.Name)
    assert isinstance(second, tree.Named) and second.label.text == "a"
    assert isinstance(second.value, tree.Arithmetic) and second.value.operators[0].text == "*"


def test_precedence() -> None:
    logic = expression("not a == 1 and b or c")
    assert isinstance(logic, tree.Logic) and logic.operator == "or"
    left = logic.operands[0]
    assert isinstance(left, tree.Logic) and isinstance(left.operands[0], tree.Not)
    total = expression("1 + 2 * 3 - 4")
    assert isinstance(total, tree.Arithmetic) and [sign.text for sign in total.operators] == ["+", "-"]
    power = expression("-x ** 2")
    assert isinstance(power, tree.Negate) and isinstance(power.operand, tree.Arithmetic)


def test_spans_are_exact() -> None:
    text = "net A {\n  output y = x -> conv(3, 3x3)  # comment\n}\n"
    program = parse(Source("t", text))
    (net,) = program.declarations
    assert isinstance(net, tree.Net)
    (output,) = net.body.statements
    assert output.span.text == "output y = x -> conv(3, 3x3)"
    assert (output.span.line, output.span.column, output.span.end_column) == (2, 3, 31)
    assert net.span.text == text.strip()


def test_a_call_and_a_new_statement_are_told_apart() -> None:
    (net,) = parse(Source("t", "net A {\n x = a\n (b, c) = f(x)\n}")).declarations
    assert isinstance(net, tree.Net)
    assert [type(item).__name__ for item in net.body.statements] == ["Assign", "Assign"]


def test_keywords_are_names_where_only_names_can_stand() -> None:
    named = expression("x -> f as layer")
    assert isinstance(named, tree.Pipe) and isinstance(named.stages[1], tree.Named)
    assert named.stages[1].label.text == "layer"


def test_parameters_share_annotations() -> None:
    (block,) = parse(Source("t", "block A(a, b: int, c: bool = yes) { return in }")).declarations
    assert isinstance(block, tree.Block)
    assert [item.kind.text for item in block.parameters] == ["int", "int", "bool"]


def test_a_tuple_of_one_has_a_comma() -> None:
    assert isinstance(expression("(a)"), tree.Group)
    assert isinstance(expression("(a,)"), tree.TupleExpr)


def test_all_errors_of_a_file_are_found_at_once() -> None:
    with pytest.raises(UserError) as caught:
        parse(Source("t", "net A {\n x = \n y = -> f\n}\nblock { }\nnet B {\n z = 3 3\n}\n"))
    assert [item.primary.span.line for item in caught.value.diagnostics if item.primary] == [3, 5, 7]


def test_the_number_of_errors_is_bounded() -> None:
    with pytest.raises(UserError) as caught:
        parse(Source("t", "net A {\n" + " x = )(\n".replace(")(", "= =") * 500 + "}"))
    assert len(caught.value.diagnostics) <= MAX_ERRORS


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = " + "(" * (MAX_DEPTH + 1), Code.LIMIT_DEPTH),
        ("#" * (MAX_BYTES + 1), Code.LIMIT_FILE),
        ("é" * (MAX_BYTES // 2 + 1), Code.LIMIT_FILE),
        ("x = " + "1+" * 250_000, Code.LIMIT_FILE),
    ],
    ids=["nesting", "characters", "bytes", "words"],
)
def test_limits(text: str, code: Code) -> None:
    with pytest.raises(ResourceLimit) as caught:
        parse(Source("t", text))
    assert caught.value.diagnostics[0].code is code
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("text", ["1" + "+1" * 50_000, "a" + "[0]" * 50_000, "not " * 9 + "a", "x" + " -> f" * 50_000])
def test_long_chains_are_flat(text: str) -> None:
    try:
        node = expression(text)
    except UserError:
        return
    depth, level = 0, [node]
    while level:
        depth, level = (
            depth + 1,
            [child for item in level for child in tree.children(item) if isinstance(child, tree.Expr)],
        )
    assert depth < 5


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_give_user_errors(data: st.DataObject) -> None:
    """Cut, doubled and spliced files: a tree or a UserError, and its rendering is printable."""
    text = data.draw(st.sampled_from(SAMPLES)).read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + data.draw(st.sampled_from([*FRAGMENTS, "", text[end : end + 20]])) + text[end:]
    try:
        parse(Source("damaged.net", text))
    except UserError as error:
        shown = render(error.diagnostics, color=False)
        assert "error[N0" in shown
        assert all(character.isprintable() or character == "\n" for character in shown)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_tree_or_a_user_error(text: str) -> None:
    try:
        parse(Source("t", text))
    except UserError as error:
        render(error.diagnostics, color=True)
