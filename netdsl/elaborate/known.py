"""Arithmetic on known values. Pure functions; a failure is a ``Failure`` for the caller to locate."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

from netdsl.diagnostics import Code
from netdsl.elaborate import limits
from netdsl.elaborate.sized import Sized, combine, compared, plain
from netdsl.elaborate.values import Known, Tensor, describe, is_int, is_number, show


class Failure(Exception):
    """A calculation without a result."""

    def __init__(self, code: Code, title: str, help: str | None = None) -> None:
        super().__init__(title)
        self.code, self.title, self.help = code, title, help


def arithmetic(sign: str, left: Known, right: Known) -> Known:
    """``left sign right`` of numbers; ``+`` joins lists, ``*`` repeats one."""
    if isinstance(left, Sized) or isinstance(right, Sized):
        combined = combine(sign, left, right)
        if combined is not None:
            bounded(combined)
            return combined
        left, right = plain(left), plain(right)
    if is_number(left) and is_number(right):
        return bounded(_NUMERIC[sign](left, right))
    if sign == "+" and isinstance(left, list) and isinstance(right, list):
        return checked_list(left + right)
    if sign == "*" and isinstance(left, list) and is_int(right):
        if len(left) * max(right, 0) > limits.MAX_LIST:
            raise Failure(Code.LIMIT_SIZE, f"a list may have at most {limits.MAX_LIST:,} items")
        return left * right
    raise Failure(Code.WRONG_TYPE, f"`{sign}` does not work between {describe(left)} and {describe(right)}")


def _divide(left: float, right: float) -> float:
    """Whole numbers that divide stay whole: 64 / 16 is 4, 7 / 2 is 3.5."""
    if right == 0:
        raise Failure(Code.ARITHMETIC, f"`{show(left)} / 0` has no result")
    if is_int(left) and is_int(right) and left % right == 0:
        return left // right
    return left / right


def _floor(left: float, right: float) -> float:
    if right == 0:
        raise Failure(Code.ARITHMETIC, f"`{show(left)} // 0` has no result")
    return left // right


def _modulo(left: float, right: float) -> float:
    if right == 0:
        raise Failure(Code.ARITHMETIC, f"`{show(left)} % 0` has no result")
    return left % right


def _power(left: float, right: float) -> float:
    if abs(right) > limits.MAX_EXPONENT:
        raise Failure(Code.LIMIT_SIZE, f"an exponent may be at most {limits.MAX_EXPONENT}")
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError) as error:
        raise Failure(Code.ARITHMETIC, f"`{show(left)} ** {show(right)}` has no result") from error
    if isinstance(result, complex):
        raise Failure(Code.ARITHMETIC, f"`{show(left)} ** {show(right)}` is not a real number")
    return float(result) if isinstance(result, float) else int(result)


_NUMERIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "//": _floor,
    "%": _modulo,
    "**": _power,
}


def bounded(value: float) -> float:
    """Numbers stay exact and finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Failure(Code.ARITHMETIC, "the result is not a finite number")
    if abs(value) > limits.MAX_NUMBER and is_int(value):
        raise Failure(Code.LIMIT_SIZE, f"whole numbers go up to {limits.MAX_NUMBER:,}")
    return value


def negate(value: Known) -> Known:
    if not is_number(value):
        raise Failure(Code.WRONG_TYPE, f"`-` needs a number, found {describe(value)}")
    return arithmetic("-", 0, value) if isinstance(value, Sized) else -value


_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compare(sign: str, left: Known, right: Known) -> bool:
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        raise Failure(
            Code.NOT_CONSTANT,
            f"`{sign}` compares known values; a tensor has none before the network runs",
            "compare `channels(x)`, `height(x)` or `width(x)`",
        )
    if sign in ("==", "!="):
        outcome = _equal(left, right) is (sign == "==")
        _tell(sign, left, right, outcome)
        return outcome
    if is_number(left) and is_number(right):
        outcome = _ORDERS[sign](left, right)
        _tell(sign, left, right, outcome)
        return outcome
    raise Failure(Code.WRONG_TYPE, f"`{sign}` does not order {describe(left)} and {describe(right)}")


def _tell(sign: str, left: Known, right: Known, outcome: bool) -> None:
    """Tell a probe what was decided by numbers that follow from sizes; of a list, every one counts."""
    if isinstance(left, int) and isinstance(right, int):
        compared(sign, left, right, outcome)
    else:
        plain(left)
        plain(right)


def _equal(left: Known, right: Known) -> bool:
    """Equality of values of one sort; a comparison of different sorts is a slip."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    for sort in (bool, str, list, tuple):
        if isinstance(left, sort) and isinstance(right, sort):
            return bool(left == right)
    raise Failure(Code.WRONG_TYPE, f"{describe(left)} and {describe(right)} are never equal")


def element(base: Known, index: Known) -> Known:
    """``base[index]``; negative indices count from the end."""
    if not isinstance(base, list | tuple):
        raise Failure(Code.WRONG_TYPE, f"only lists have elements, not {describe(base)}")
    index = plain(index)
    if not is_int(index):
        raise Failure(Code.WRONG_TYPE, f"an index is a whole number, not {describe(index)}")
    if not -len(base) <= index < len(base):
        size = f"{len(base)} element" + ("" if len(base) == 1 else "s")
        raise Failure(Code.BAD_INDEX, f"index {index} is outside a list of {size}", "the first element has index 0")
    return base[index]


def checked_list(items: list[Known]) -> list[Known]:
    if len(items) > limits.MAX_LIST:
        raise Failure(Code.LIMIT_SIZE, f"a list may have at most {limits.MAX_LIST:,} items")
    return items


# -- functions of known values ---------------------------------------------------------------------


def _length(value: Known) -> int:
    if not isinstance(value, list | tuple):
        raise Failure(Code.WRONG_TYPE, f"`len` needs a list, found {describe(value)}")
    return len(value)


def _range(*bounds: Known) -> list[int]:
    if not all(map(is_int, bounds)) or (len(bounds) == 3 and bounds[2] == 0):
        raise Failure(Code.WRONG_TYPE, "`range` needs whole numbers, and a step other than 0")
    numbers = range(*bounds)
    if len(numbers) > limits.MAX_LIST:
        raise Failure(Code.LIMIT_SIZE, f"a list may have at most {limits.MAX_LIST:,} items")
    return list(numbers)


def _numbers(function: str, values: Sequence[Known]) -> list[float]:
    """The numbers given one by one or as one list."""
    items = list(values[0]) if len(values) == 1 and isinstance(values[0], list | tuple) else list(values)
    for item in items:
        if not is_number(item):
            raise Failure(Code.WRONG_TYPE, f"`{function}` needs numbers, found {describe(item)}")
    if not items and function != "sum":
        raise Failure(Code.BAD_VALUE, f"`{function}` of nothing has no result")
    return items


def _enumerate(value: Known) -> list[tuple[int, Known]]:
    if not isinstance(value, list | tuple):
        raise Failure(Code.WRONG_TYPE, f"`enumerate` needs a list, found {describe(value)}")
    return list(enumerate(value))


def _zip(*values: Known) -> list[tuple[Known, ...]]:
    if not all(isinstance(value, list | tuple) for value in values):
        raise Failure(Code.WRONG_TYPE, "`zip` needs lists")
    if len({len(value) for value in values}) > 1:
        lengths = " and ".join(str(len(value)) for value in values)
        raise Failure(Code.BAD_VALUE, f"`zip` needs lists of equal length, found {lengths}")
    return list(zip(*values, strict=True))


def _rounded(function: str, value: Known) -> int:
    if not is_number(value):
        raise Failure(Code.WRONG_TYPE, f"`{function}` needs a number, found {describe(value)}")
    return int(bounded(_ROUNDINGS[function](value)))


_ROUNDINGS: dict[str, Callable[[float], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round": lambda value: math.floor(value + 0.5),
}


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Known]]] = {
    "len": (1, 1, _length),
    "range": (1, 3, _range),
    "min": (1, limits.MAX_LIST, lambda *values: min(_numbers("min", values))),
    "max": (1, limits.MAX_LIST, lambda *values: max(_numbers("max", values))),
    "sum": (1, limits.MAX_LIST, lambda *values: bounded(sum(_numbers("sum", values)))),
    "floor": (1, 1, lambda value: _rounded("floor", value)),
    "ceil": (1, 1, lambda value: _rounded("ceil", value)),
    "round": (1, 1, lambda value: _rounded("round", value)),
    "enumerate": (1, 1, _enumerate),
    "zip": (1, limits.MAX_LIST, _zip),
}
"""Functions of known values by name: fewest and most arguments, and the function."""


def _channels(tensor: Tensor) -> int:
    return _axis(tensor, 0, "channels")


def _axis(tensor: Tensor, axis: int, name: str) -> int:
    shape = tensor.type.shape
    if len(shape) <= axis:
        raise Failure(Code.BAD_RANK, f"a tensor of shape {tensor.type} has no {name}")
    return shape[axis]


MEASURES: dict[str, Callable[[Tensor], int]] = {
    "channels": _channels,
    "height": lambda tensor: _axis(tensor, 1, "height"),
    "width": lambda tensor: _axis(tensor, 2, "width"),
}
"""What is known of a tensor while the file is elaborated."""
