"""Numbers that follow from the sizes of the inputs, while a probe watches: they remember how.

A :class:`Sized` is an ordinary whole number to everything that reads it. Arithmetic on known values keeps the formula;
a comparison tells the probe what it decided; whatever else uses the number settles it (:func:`plain`), and the probe
notes that what follows holds for this number only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.elaborate.probe import Probe


@record
class Axis:
    """What the height or width of an input is called: a name of the file, or ``height`` and the number written."""

    name: str
    vertical: bool
    literal: int | None = None

    def is_named(self, name: str) -> bool:
        """Whether the file calls it so."""
        return self.literal is None and self.name == name


Shape = tuple[int, ...]
Sizes = Mapping[Axis, int]


@record
class OfValue:
    """The size of an axis of a value, by its number."""

    value: int
    axis: int


@record
class OfName:
    """A name that is, or may be, that of an axis; ``found`` is what it was."""

    name: str
    found: int


@record
class Combined:
    """Two formulas or numbers, and an operator without rest or failure."""

    sign: str
    left: Formula | int
    right: Formula | int


Formula = OfValue | OfName | Combined

_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}


def evaluate(formula: Formula | int, shapes: Sequence[Any], sizes: Sizes) -> int:
    """The number at other sizes; ``shapes`` are those of the values."""
    match formula:
        case int():
            return formula
        case OfValue():
            return int(shapes[formula.value][formula.axis])
        case OfName():
            return next((size for axis, size in sizes.items() if axis.is_named(formula.name)), formula.found)
        case Combined():
            left, right = evaluate(formula.left, shapes, sizes), evaluate(formula.right, shapes, sizes)
            return _OPERATORS[formula.sign](left, right)


def renumbered(formula: Formula | int, numbers: Sequence[int]) -> Formula | int:
    """The same formula where value i is called ``numbers[i]``."""
    match formula:
        case OfValue():
            return OfValue(numbers[formula.value], formula.axis)
        case Combined():
            return Combined(formula.sign, renumbered(formula.left, numbers), renumbered(formula.right, numbers))
    return formula


def settled(formula: Formula | int, names: Collection[str]) -> Formula | int:
    """The same formula where only the axes called ``names`` can change: the number, if none of them is in it."""
    match formula:
        case OfName():
            return formula if formula.name in names else formula.found
        case Combined():
            left, right = settled(formula.left, names), settled(formula.right, names)
            if isinstance(left, int) and isinstance(right, int):
                return _OPERATORS[formula.sign](left, right)
            return Combined(formula.sign, left, right)
    return formula


class Sized(int):
    """A whole number with its formula."""

    formula: Formula
    probe: Probe

    @staticmethod
    def of(number: int, formula: Formula, probe: Probe) -> Sized:
        made = Sized(number)
        made.formula, made.probe = formula, probe
        return made


def combine(sign: str, left: Any, right: Any) -> Sized | None:
    """``left sign right`` with its formula; None where there is none, and the numbers are to be settled."""
    if sign not in _OPERATORS or not (_is_whole(left) and _is_whole(right)):
        return None
    if sign in ("//", "%") and (isinstance(right, Sized) or right == 0):
        return None
    probe = (left if isinstance(left, Sized) else right).probe
    formula = Combined(sign, formula_of(left), formula_of(right))
    return Sized.of(_OPERATORS[sign](int(left), int(right)), formula, probe)


def formula_of(number: int) -> Formula | int:
    """How a number follows from sizes; the number itself where it does not."""
    return number.formula if isinstance(number, Sized) else number


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def compared(sign: str, left: Any, right: Any, outcome: bool) -> None:
    """Tell the probe what a comparison of whole numbers decided."""
    for number in (left, right):
        if isinstance(number, Sized):
            number.probe.decided(sign, formula_of(left), formula_of(right), outcome)
            return


def plain(value: Any) -> Any:
    """The value with its numbers settled: from here on they are as they are."""
    if isinstance(value, Sized):
        value.probe.decided("==", value.formula, int(value), True)
        return int(value)
    if type(value) in (list, tuple) and any(map(_holds, value)):
        return type(value)(map(plain, value))
    return value


def _holds(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(map(_holds, value))
    return isinstance(value, Sized)


def sized_in(value: Any) -> Iterator[Sized]:
    """The numbers with a formula in an argument, in order."""
    if isinstance(value, Sized):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from sized_in(item)


def replaced(value: Any, numbers: Iterator[Any]) -> Any:
    """An argument with its numbers that have a formula replaced, in the order of :func:`sized_in`."""
    if isinstance(value, Sized):
        return next(numbers)
    if type(value) in (list, tuple) and _holds(value):
        return type(value)([replaced(item, numbers) for item in value])
    return value


def unsized(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments as ordinary numbers, for the graph."""
    if not any(map(_holds, attrs.values())):
        return attrs
    return {name: replaced(value, map(int, list(sized_in(value)))) for name, value in attrs.items()}
