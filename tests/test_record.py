"""Records behave as frozen dataclasses do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace

import pytest

from netdsl.record import record, struct


@record
class Point:
    """A record with a default."""

    x: int
    y: int = 2


@record
class Named(Point):
    """Fields of its own come after those of the base."""

    names: list[str] = field(default_factory=list, compare=False)


@record(kw_only=True)
class Strict(Point):
    z: int


@record(frozen=False)
class Loose:
    items: list[int] = field(default_factory=list)
    count: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        self.count = len(self.items)


@record(eq=False)
class Single:
    x: int


def test_arguments_and_defaults() -> None:
    assert Point(1) == Point(1, 2) == Point(x=1) == Point(y=2, x=1) != Point(2)
    assert Named(1, names=["a"]) == Named(1, 2, []) != Point(1)
    assert Strict(1, z=3).z == 3 and Strict(1, 5, z=3).y == 5
    assert Loose([1, 2]).count == 2 and Loose().items is not Loose().items


@pytest.mark.parametrize("wrong", ["Point()", "Point(1, 2, 3)", "Point(1, x=1)", "Point(1, w=1)", "Strict(1, 2, 3)"])
def test_wrong_arguments(wrong: str) -> None:
    with pytest.raises(TypeError, match=r"Point\(\)|Strict\(\)"):
        eval(wrong)


def test_equality_and_hash() -> None:
    assert hash(Point(1)) == hash(Point(1, 2)) and {Point(1): 5}[Point(1, 2)] == 5
    assert hash(Named(1, 2, ["a"])) == hash(Named(1))
    assert Single(1) != Single(1) and hash(Single(1)) != hash(Single(1))
    assert Loose([1]) == Loose([1])
    with pytest.raises(TypeError, match="unhashable"):
        hash(Loose())


def test_frozen() -> None:
    point, loose = Point(1), Loose()
    with pytest.raises(FrozenInstanceError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x
    loose.count = 7
    assert loose.count == 7


def test_what_dataclasses_do() -> None:
    assert replace(Point(1), y=5) == Point(1, 5)
    assert asdict(Named(1, names=["a"])) == {"x": 1, "y": 2, "names": ["a"]}
    assert [item.name for item in fields(Named)] == ["x", "y", "names"]
    assert repr(Point(1)) == "Point(x=1, y=2)" and repr(Loose([1])) == "Loose(items=[1])"
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


def test_copies() -> None:
    assert copy.copy(Point(1)) == Point(1) == pickle.loads(pickle.dumps(Point(1)))
    assert copy.deepcopy(Named(1, 2, ["a"])).names == ["a"]


def _twice(number: int) -> int:
    return 2 * number


@record
class _Rule:
    apply: Callable[[int], int] = _twice


def test_a_function_as_default_is_a_field_and_no_method() -> None:
    assert _Rule().apply(3) == _Rule(_twice).apply(3) == 6
    assert replace(_Rule()).apply(3) == 6 and _Rule() == _Rule(_twice)


@struct
class Often:
    """Made often."""

    x: int
    y: tuple[int, ...] = ()


@struct(eq=False)
class Apart:
    """Compared by identity."""

    x: int


def test_structs_are_small_and_compared_by_their_fields() -> None:
    pair = Often(1, (2,))
    assert (pair, hash(pair)) == (Often(x=1, y=(2,)), hash(Often(1, (2,)))) and pair != Often(1)
    assert repr(pair) == "Often(x=1, y=(2,))" and replace(pair, x=3) == Often(3, (2,))
    assert not hasattr(pair, "__dict__")
    assert pickle.loads(pickle.dumps(pair)) == copy.copy(pair) == pair


def test_structs_without_equality_are_told_apart() -> None:
    assert Apart(1) != Apart(1) and len({Apart(1), Apart(1)}) == 2


def test_structs_take_arguments_as_functions_do() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Often()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Often(1, z=2)  # type: ignore[call-arg]


@struct
class Further(Often):
    """Fields of its own come after those of the base; it shows itself in its own way, and so does what follows."""

    z: int = 3

    def __repr__(self) -> str:
        return f"<{self.x} {self.z}>"


@struct(eq=False)
class Furthest(Further):
    pass


def test_structs_of_structs() -> None:
    assert (Further(1).y, Further(1).z, Further(1, z=4).z) == ((), 3, 4)
    assert Further(1) == Further(1, (), 3) != Further(1, (), 4) and Further(1) != Often(1)
    assert repr(Furthest(1, (), 5)) == "<1 5>"
