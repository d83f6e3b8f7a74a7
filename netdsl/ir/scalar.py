"""Scalar expressions: the whole meaning of an elementwise op, in one small tree.

Backends emit vector code from them, fusion composes them, autodiff differentiates them and the
reference interpreter evaluates them, so an elementwise op is written exactly once.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from netdsl import numpy_on_use as np
from netdsl.record import struct

UNARY = ("neg", "exp", "log", "tanh", "sigmoid", "sqrt", "abs")
BINARY = ("add", "sub", "mul", "div", "max", "min")
COMPARE = ("gt", "ge", "lt", "le", "eq")


@struct
class Expr:
    """Base of all expression nodes; the operators build trees."""

    def __add__(self, other: Expr | float) -> Expr:
        return Binary("add", self, as_expr(other))

    def __radd__(self, other: float) -> Expr:
        return Binary("add", as_expr(other), self)

    def __sub__(self, other: Expr | float) -> Expr:
        return Binary("sub", self, as_expr(other))

    def __rsub__(self, other: float) -> Expr:
        return Binary("sub", as_expr(other), self)

    def __mul__(self, other: Expr | float) -> Expr:
        return Binary("mul", self, as_expr(other))

    def __rmul__(self, other: float) -> Expr:
        return Binary("mul", as_expr(other), self)

    def __truediv__(self, other: Expr | float) -> Expr:
        return Binary("div", self, as_expr(other))

    def __rtruediv__(self, other: float) -> Expr:
        return Binary("div", as_expr(other), self)

    def __neg__(self) -> Expr:
        return Unary("neg", self)

    @property
    def children(self) -> tuple[Expr, ...]:
        return ()


@struct
class Var(Expr):
    """The op's operand number ``index``."""

    index: int

    def __str__(self) -> str:
        return f"x{self.index}"


@struct
class Const(Expr):
    """A number."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:.9g}"


@struct
class Unary(Expr):
    """One of ``UNARY``."""

    op: str
    x: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.x,)

    def __str__(self) -> str:
        return f"{self.op}({self.x})"


@struct
class Binary(Expr):
    """One of ``BINARY``."""

    op: str
    x: Expr
    y: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.x, self.y)

    def __str__(self) -> str:
        return f"{self.op}({self.x}, {self.y})"


@struct
class Select(Expr):
    """``x if a <compare> b else y``; a comparison with NaN is false."""

    compare: str
    a: Expr
    b: Expr
    x: Expr
    y: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.a, self.b, self.x, self.y)

    def __str__(self) -> str:
        return f"select({self.a} {self.compare} {self.b}, {self.x}, {self.y})"


def as_expr(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Const(float(value))


def exp(x: Expr) -> Expr:
    return Unary("exp", x)


def log(x: Expr) -> Expr:
    return Unary("log", x)


def tanh(x: Expr) -> Expr:
    return Unary("tanh", x)


def sigmoid(x: Expr) -> Expr:
    return Unary("sigmoid", x)


def sqrt(x: Expr) -> Expr:
    return Unary("sqrt", x)


def maximum(x: Expr, y: Expr | float) -> Expr:
    """Maximum that propagates NaN from either side, as ``numpy.maximum`` does."""
    return Binary("max", x, as_expr(y))


def minimum(x: Expr, y: Expr | float) -> Expr:
    """Minimum that propagates NaN from either side."""
    return Binary("min", x, as_expr(y))


def select(compare: str, a: Expr, b: Expr | float, x: Expr | float, y: Expr | float) -> Expr:
    return Select(compare, a, as_expr(b), as_expr(x), as_expr(y))


def rebuild(expr: Expr, children: Sequence[Expr]) -> Expr:
    """The same node over other children."""
    match expr:
        case Unary(op=op):
            return Unary(op, children[0])
        case Binary(op=op):
            return Binary(op, children[0], children[1])
        case Select(compare=compare):
            return Select(compare, children[0], children[1], children[2], children[3])
    return expr


def substitute(expr: Expr, table: Mapping[Expr, Expr]) -> Expr:
    """Replace every occurrence of a key by its value, outermost first."""
    if expr in table:
        return table[expr]
    if not expr.children:
        return expr
    return rebuild(expr, [substitute(child, table) for child in expr.children])


def with_operands(expr: Expr, operands: Sequence[Expr]) -> Expr:
    """The expression with ``operands[i]`` in the place of ``Var(i)``."""
    if isinstance(expr, Var):
        return operands[expr.index]
    children = expr.children
    return rebuild(expr, [with_operands(child, operands) for child in children]) if children else expr


def variables(expr: Expr) -> set[int]:
    """Indices of the operands the expression reads."""
    if isinstance(expr, Var):
        return {expr.index}
    return set().union(*(variables(child) for child in expr.children))


def size(expr: Expr) -> int:
    """Number of operations as written; one that occurs twice counts twice."""
    own = 0 if isinstance(expr, Var | Const) else 1
    return own + sum(size(child) for child in expr.children)


@cache
def operations(expr: Expr) -> Mapping[frozenset[int], int]:
    """How many different operations there are for each set of operands that they read.

    One that occurs twice is done once. Of ``x0 * sqrt(x1 + 1)`` two read only ``x1``, one reads both.
    """
    found: dict[Expr, frozenset[int]] = {}
    waiting = [expr]
    while waiting:
        item = waiting.pop()
        if item.children and item not in found:
            found[item] = frozenset(variables(item))
            waiting.extend(item.children)
    return Counter(found.values())


# --- evaluation -----------------------------------------------------------------------------

Array: TypeAlias = "np.ndarray[Any, Any]"


def _sigmoid(x: Array) -> Array:
    # exp of a non-positive argument only, so neither tail overflows.
    tail = np.exp(-np.abs(x))
    positive = 1 / (1 + tail)
    return np.asarray(np.where(x >= 0, positive, tail / (1 + tail)))


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """What each operation and comparison is on arrays."""
    return {
        "neg": np.negative, "exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": _sigmoid,
        "sqrt": np.sqrt, "abs": np.abs, "add": np.add, "sub": np.subtract, "mul": np.multiply,
        "div": np.divide, "max": np.maximum, "min": np.minimum, "gt": np.greater,
        "ge": np.greater_equal, "lt": np.less, "le": np.less_equal, "eq": np.equal,
    }  # fmt: skip


def evaluate(expr: Expr, operands: Sequence[Array]) -> Array:
    """Value over NumPy arrays that broadcast against each other, in their own precision."""
    with np.errstate(all="ignore"):
        return np.asarray(_evaluate(expr, operands, {}))


def _evaluate(expr: Expr, operands: Sequence[Array], memo: dict[Expr, Any]) -> Any:
    match expr:  # what is looked at once needs no memory
        case Var(index=index):
            return operands[index]
        case Const(value=value):
            return operands[0].dtype.type(value) if operands else np.float64(value)
    if expr in memo:
        return memo[expr]
    result: Any
    match expr:
        case Select(compare=compare):
            a, b, x, y = (_evaluate(child, operands, memo) for child in expr.children)
            result = np.where(_functions()[compare](a, b), x, y)
        case Unary(op=op) | Binary(op=op):
            result = _functions()[op](*(_evaluate(child, operands, memo) for child in expr.children))
        case _:
            raise TypeError(f"not an expression: {expr!r}")
    memo[expr] = result
    return result


# --- algebra --------------------------------------------------------------------------------


def differentiate(expr: Expr, index: int) -> Expr:
    """The partial derivative with respect to operand ``index``, simplified.

    At a kink (max, min, abs, select) the derivative is that of the side the comparison takes; ties
    of max and min go to the first operand, so relu = max(x, 0) written ``maximum(x, 0)`` would give 1
    at 0: ops that want another convention spell it with ``select``.
    """
    return simplify(_differentiate(expr, index))


def _differentiate(expr: Expr, index: int) -> Expr:
    if index not in variables(expr):
        return Const(0.0)
    match expr:
        case Var():
            return Const(1.0)
        case Unary(op=op, x=x):
            return _UNARY_DERIVATIVE[op](expr, x) * _differentiate(x, index)
        case Binary(op=op, x=x, y=y):
            return _binary_derivative(op, x, y, _differentiate(x, index), _differentiate(y, index))
        case Select(compare=compare, a=a, b=b, x=x, y=y):
            return Select(compare, a, b, _differentiate(x, index), _differentiate(y, index))
    raise TypeError(f"not an expression: {expr!r}")


_UNARY_DERIVATIVE: dict[str, Callable[[Expr, Expr], Expr]] = {
    "neg": lambda y, x: Const(-1.0),
    "exp": lambda y, x: y,
    "log": lambda y, x: 1.0 / x,
    "tanh": lambda y, x: 1.0 - y * y,
    "sigmoid": lambda y, x: y * (1.0 - y),
    "sqrt": lambda y, x: 0.5 / y,
    "abs": lambda y, x: select("ge", x, 0.0, 1.0, -1.0),
}


def _binary_derivative(op: str, x: Expr, y: Expr, dx: Expr, dy: Expr) -> Expr:
    match op:
        case "add":
            return dx + dy
        case "sub":
            return dx - dy
        case "mul":
            return dx * y + x * dy
        case "div":
            return dx / y - x * dy / (y * y)
        case "max":
            return Select("ge", x, y, dx, dy)
        case "min":
            return Select("le", x, y, dx, dy)
    raise ValueError(op)


def simplify(expr: Expr) -> Expr:
    """Fold constants and drop neutral elements, bottom up."""
    if not expr.children:
        return expr
    expr = rebuild(expr, [simplify(child) for child in expr.children])
    if all(isinstance(child, Const) for child in expr.children):
        value = _constant(expr)
        if math.isfinite(value):
            return Const(value)
    match expr:
        case Binary():
            return _simplify_binary(expr)
        case Unary(op="neg", x=Unary(op="neg", x=inner)):
            return inner
        case Select(x=x, y=y) if x == y:
            return x
    return expr


_ROUNDED_ALIKE: dict[str, Callable[..., float]] = {
    "neg": operator.neg, "add": operator.add, "sub": operator.sub, "mul": operator.mul,
}  # fmt: skip
"""What Python's floats and NumPy's give to the same bit, exceptions included: no reason to load NumPy."""


def _constant(expr: Expr) -> float:
    """The value of an expression over constants."""
    match expr:
        case Unary(op=op, x=Const(value=x)) if op in _ROUNDED_ALIKE:
            return _ROUNDED_ALIKE[op](x)
        case Binary(op=op, x=Const(value=x), y=Const(value=y)) if op in _ROUNDED_ALIKE:
            return _ROUNDED_ALIKE[op](x, y)
    return float(evaluate(expr, [np.zeros((), np.float64)]))


def _simplify_binary(expr: Binary) -> Expr:
    zero, one = Const(0.0), Const(1.0)
    # 0 * x is folded to 0 although x may be inf or NaN: it arises only from derivatives of
    # operands that do not appear, where 0 is the true value.
    match expr:
        case Binary(op="add", x=x, y=y):
            return y if x == zero else x if y == zero else expr
        case Binary(op="sub", x=x, y=y):
            return x if y == zero else Unary("neg", y) if x == zero else expr
        case Binary(op="mul", x=x, y=y):
            if zero in (x, y):
                return zero
            return y if x == one else x if y == one else expr
        case Binary(op="div", x=x, y=y):
            return zero if x == zero else x if y == one else expr
    return expr
