"""The formatter: the same tree, the same comments, the second time nothing, and the style of the zoo."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import UserError
from netdsl.source import Source
from netdsl.syntax.concrete import read_concrete
from netdsl.syntax.format import format_source, same_tree
from netdsl.syntax.format_lines import WIDTH
from netdsl.syntax.parser import parse
from tests.syntax.trees import FILES

ROOT = Path(__file__).parents[2]
MANUAL = files("netdsl.grammar").joinpath("README.md").read_text(encoding="utf-8")
PATHS = [*sorted((ROOT / "zoo").rglob("*.net")), *sorted((ROOT / "tests").rglob("*.net"))]
SNIPPETS = re.findall(r"^```net ?(\w*)\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def formatted(text: str) -> str:
    return format_source(Source("t", text))


def comments(text: str) -> list[str]:
    return [comment.text for group in read_concrete(Source("t", text)).comments for comment in group]


def check(text: str) -> str:
    """What holds of every formatted text."""
    result = formatted(text)
    assert same_tree(parse(Source("t", text)), parse(Source("t", result)))
    assert sorted(comments(text)) == sorted(comments(result))
    assert formatted(result) == result
    assert result == "" or (result.endswith("\n") and not result.endswith("\n\n"))
    assert not re.search(r"[ \t\r]\n|\n\n\n|\A\n", result)
    return result


def parses(text: str) -> bool:
    try:
        parse(Source("t", text))
    except UserError:
        return False
    return True


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_files(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if parses(text):
        check(text)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_of_the_manual(number: int) -> None:
    kind, text = SNIPPETS[number]
    check(f"net Example {{\n{text}}}\n" if kind == "body" else text)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_random_files(text: str) -> None:
    assume(parses(text))
    check(text)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_zoo_files_laid_out_otherwise(data: st.DataObject) -> None:
    """Blanks and line ends of a real file changed at random: what parses still comes out right."""
    text = data.draw(st.sampled_from(PATHS)).read_text(encoding="utf-8")
    blanks = [match.span() for match in re.finditer(r"[ \n]+", text)]
    for start, end in sorted(data.draw(st.lists(st.sampled_from(blanks), max_size=6)), reverse=True):
        text = text[:start] + data.draw(st.sampled_from([" ", "    ", "\n", "\n\n", "\n  ", " # c\n"])) + text[end:]
    if parses(text):
        check(text)


def body(text: str) -> str:
    """The formatted inside of a net, without its indent."""
    lines = formatted(f"net A {{\n{text}\n}}").splitlines()[1:-1]
    return "\n".join(line.removeprefix("    ") for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=a->f( 1,2 )", "x = a -> f(1, 2)"),
        ("y = -  x*2 - - 1", "y = -x * 2 - -1"),
        ("x = a ->\n f ->\n  g", "x = a\n    -> f\n    -> g"),
        ("long = a\n  -> f\n      -> g", "long = a\n    -> f\n    -> g"),
        ("x = a -> f\n      -> g", "x = a -> f\n      -> g"),
        ("x  = a -> f\n       -> g", "x = a -> f\n      -> g"),
        ("x = a -> f(k=1, l = 2, m= 3)", "x = a -> f(k=1, l = 2, m=3)"),
        ("x = if( a ){b}else{c}", "x = if (a) { b } else { c }"),
        ("x = (a , )", "x = (a,)"),
        ("x = a[ 1 ][2] -> f as layer[ 1 ]", "x = a[1][2] -> f as layer[1]"),
        ("input a ,b:[3 , 4]", "input a, b: [3, 4]"),
        ("for i , x in enumerate(y) { z = i }", "for i, x in enumerate(y) { z = i }"),
        ("if a {\n x = 1 }", "if a {\n    x = 1\n}"),
        ("x = a\n\n\n\ny = b", "x = a\n\ny = b"),
        ("# on top\nx = a # behind\n\n# last", "# on top\nx = a  # behind\n\n# last"),
        ("aa = 1\nb  = 2", "aa = 1\nb  = 2"),
        ("aa =   1\nb = 2", "aa = 1\nb = 2"),
        ("x = a\n    -> f(1)   -> g\n    -> f(100) -> g", "x = a\n    -> f(1)   -> g\n    -> f(100) -> g"),
        ("x = a\n    -> f(1)    -> g\n    -> f( 100 )-> g", "x = a\n    -> f(1)   -> g\n    -> f(100) -> g"),
    ],
)
def test_style(text: str, expected: str) -> None:
    assert body(text) == expected


def test_long_lines_are_broken_a_stage_a_line() -> None:
    stages = [f"conv({number}, 3x3, pad=1, bias=no)" for number in range(100, 106)]
    assert body("x = image -> " + " -> ".join(stages)) == "x = image\n" + "\n".join(f"    -> {s}" for s in stages)
    pipes = [f"in -> conv({number}, 3x3, pad=1, bias=no) -> bn -> relu" for number in range(100, 103)]
    expected = "return concat(\n" + ",\n".join(f"    {pipe}" for pipe in pipes) + ")"
    assert body(f"return concat({', '.join(pipes)})") == expected
    text = formatted("block A(" + ", ".join(f"argument{number}: int" for number in range(12)) + ") { return in }")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_braces_are_opened_where_a_line_is_too_long() -> None:
    name = "n" * 50
    text = body(f"x = if {name} {{ {name} }} else {{ {name} }}")
    assert text == f"x = if {name} {{\n    {name}\n}} else {{\n    {name}\n}}"


def test_declarations_are_parted() -> None:
    text = "use zoo.a: B\n# of A\nnet A {\n input x: [1]\n}\nnet B = A\nnet C = A\n"
    assert formatted(text) == ("use zoo.a: B\n\n# of A\nnet A {\n    input x: [1]\n}\n\nnet B = A\nnet C = A\n")


def test_line_ends_stay() -> None:
    assert formatted("a=1\r\n# c\r\nb=2\r\n") == "a = 1\r\n# c\r\nb = 2\r\n"
    assert formatted("") == ""
    assert formatted("\n\n# only a comment") == "# only a comment\n"


def test_what_does_not_parse_is_refused() -> None:
    with pytest.raises(UserError):
        formatted("net A {")
