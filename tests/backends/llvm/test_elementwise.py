"""Elementwise kernels: shapes, broadcasting, padding channels, in place, threads."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.scalar import Const, Expr, Var, exp, maximum, minimum, select, sqrt
from netdsl.ir.types import TensorType
from tests.backends.llvm.harness import TARGETS, check, spread

SHAPES = [(1,), (16,), (37,), (5, 9), (3, 1, 1), (16, 7, 7), (19, 4, 33), (2, 3, 4, 5)]


@pytest.mark.parametrize(("target", "shape", "op"), spread(SHAPES, ["relu", "sigmoid", "relu"]))
def test_unary(op: str, shape: tuple[int, ...], target: str) -> None:
    check(op, {}, [TensorType(shape)], target=target, batch=2)


BROADCAST = [
    [(5, 6, 7), (5,)],
    [(37, 6, 7), (37, 1, 1)],
    [(20, 6, 7), (1, 6, 7)],
    [(20, 6, 7), (1,)],
    [(20, 6, 7), ()],
    [(20, 6, 7), (20, 6)],
    [(20, 1, 7), (20, 6, 1)],
    [(20,), (20, 3, 5)],
    [(1, 3, 5), (20, 1, 1)],
    [(6, 8), (6,)],
    [(6, 3, 2, 5), (6, 3)],
    [(), ()],
]


FLAGS = [(True, True), (True, False), (False, True), (False, False), (True, False)]


@pytest.mark.parametrize(("target", "shapes", "batched"), spread(BROADCAST, FLAGS))
def test_broadcast(shapes: list[tuple[int, ...]], batched: tuple[bool, bool], target: str) -> None:
    types = [TensorType(shape, flag) for shape, flag in zip(shapes, batched, strict=True)]
    check("mul", {}, types, target=target, batch=3)


X, Y = Var(0), Var(1)
EXPRESSIONS: list[Expr] = [
    X * Y + Const(2.0),
    select("gt", X, 0.0, X, Const(0.1) * Y),
    maximum(X, Y) - minimum(X, Const(0.25)),
    sqrt(X * X + 1.0) / (exp(-Y) + 1.0),
    Const(3.0),
    -X,
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("expr", EXPRESSIONS, ids=str)
def test_expressions(expr: Expr, target: str) -> None:
    check("map", {"expr": expr}, [TensorType((13, 3, 5)), TensorType((13, 3, 5))], target=target, batch=2)


@pytest.mark.parametrize("op", ["relu", "leaky_relu", "tanh"])
def test_special_values(op: str) -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -3.0, 3e38]], np.float32)
    attrs = {"slope": 0.01} if op == "leaky_relu" else {}
    check(op, attrs, [TensorType((8,))], target=TARGETS[-1], arrays=[values])


def test_threads_give_the_same_bits() -> None:
    from tests.backends.llvm.harness import compiled, random_arrays, single_op

    types = [TensorType((37, 9, 11)), TensorType((37,))]
    graph = single_op("mul", {}, types)
    arrays = random_arrays(types, 3)
    one, two, three = (compiled(graph, TARGETS[0], 3, threads).run(arrays)["y0"] for threads in (1, 2, 3))
    assert np.array_equal(one, two)
    assert np.array_equal(one, three)
