"""Sets of sizes: they say what they hold, and are found from what was tried."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.analysis.sizes import SizeSet, find_rule

TRIED = 400
quick = settings(max_examples=150, deadline=None)


@st.composite
def predicates(draw: st.DrawFn) -> list[bool]:
    """Whether each size from 1 to TRIED is a member: anything up to some size, periodic from there on."""
    head = draw(st.lists(st.booleans(), max_size=40))
    period = draw(st.lists(st.booleans(), min_size=1, max_size=20))
    return [head[i] if i < len(head) else period[i % len(period)] for i in range(TRIED)]


def says(text: str, name: str, size: int) -> bool:
    """Whether a size is a member by what the text of a set says."""
    return any(_piece(piece, name, size) for piece in text.split("; or "))


def _piece(piece: str, name: str, size: int) -> bool:
    if piece == f"no {name}":
        return False
    return all(_condition(part, name, size) for part in _conditions(piece, name))


def _conditions(piece: str, name: str) -> list[str]:
    return re.split(rf", (?={name} >= |\d+ <= {name})", piece)


def _condition(text: str, name: str, size: int) -> bool:
    if found := re.fullmatch(rf"(\d+) <= {name} <= (\d+)", text):
        return int(found[1]) <= size <= int(found[2])
    if found := re.fullmatch(rf"{name} >= (\d+)", text):
        return size >= int(found[1])
    if found := re.fullmatch(rf"{name} (=|not) ([^m]*?)(?: mod (\d+))?", text):
        value = size % int(found[3]) if found[3] else size
        ranges = [item.split("..") for item in re.split(", | or ", found[2])]
        held = any(int(item[0]) <= value <= int(item[-1]) for item in ranges)
        return held is (found[1] == "=")
    raise AssertionError(text)


@quick
@given(predicates())
def test_a_rule_agrees_with_what_was_tried(legal: list[bool]) -> None:
    found = find_rule(legal)
    assert [size in found for size in range(1, TRIED + 1)] == legal
    assert bool(found) is any(legal)


@quick
@given(predicates())
def test_a_rule_goes_on_as_the_period_does(legal: list[bool]) -> None:
    found = find_rule(legal[:200])
    assert found.known_to is None
    assert [size in found for size in range(1, TRIED + 1)] == legal


@quick
@given(predicates())
def test_the_text_says_what_the_set_holds(legal: list[bool]) -> None:
    found = find_rule(legal)
    text = found.text("H")
    if "more" not in text:
        assert [says(text, "H", size) for size in range(1, TRIED + 1)] == legal


@quick
@given(predicates(), st.integers(1, 300))
def test_neighbours(legal: list[bool], size: int) -> None:
    found = find_rule(legal)
    members = [index + 1 for index, is_legal in enumerate(legal) if is_legal]
    assert found.below(size) == max((item for item in members if item < size), default=None)
    assert found.above(size) == min((item for item in members if item > size), default=None)
    if members:
        assert found.smallest == members[0]


@pytest.mark.parametrize(
    ("legal", "text"),
    [
        (lambda h: h >= 47, "H >= 47"),
        (lambda h: True, "H >= 1"),
        (lambda h: h % 32 == 0 and h >= 64, "H = 0 mod 32, H >= 64"),
        (lambda h: h % 16 == 0, "H = 0 mod 16"),
        (lambda h: h % 16 == 12 and h >= 188, "H = 12 mod 16, H >= 188"),
        (lambda h: h == 224, "H = 224"),
        (lambda h: 224 <= h <= 255, "224 <= H <= 255"),
        (lambda h: h % 4 != 1, "H not 1 mod 4"),
        (lambda h: h % 8 in (1, 4), "H = 1 or 4 mod 8"),
        (lambda h: h % 8 in (2, 3, 4, 7), "H = 2..4 or 7 mod 8"),
        (lambda h: h == 5 or h >= 9, "H = 5; or H >= 9"),
        (lambda h: h % 4 == 0 and 64 <= h <= 128, "H = 0 mod 4, 64 <= H <= 128"),
        (lambda h: False, "no H"),
    ],
)
def test_texts(legal: object, text: str) -> None:
    assert callable(legal)
    assert find_rule([legal(size) for size in range(1, 1025)]).text("H") == text


def test_without_a_period_nothing_is_claimed_beyond() -> None:
    squares = [round(size**0.5) ** 2 == size for size in range(1, 101)]
    found = find_rule(squares)
    assert found.known_to == 100 and 49 in found and 121 not in found


def test_a_rule_that_a_larger_size_breaks_is_cut() -> None:
    cut = SizeSet((), 8, 8, (0,)).up_to(20)
    assert (8 in cut, 16 in cut, 24 in cut, cut.known_to) == (True, True, False, 20)
    more = SizeSet((), 8, 8, (0,)).including(13)
    assert 13 in more
