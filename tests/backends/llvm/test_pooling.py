"""Pooling and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netdsl.ir.scalar import Var, maximum, select, sigmoid
from netdsl.ir.types import TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import get
from tests.backends.llvm.harness import TARGETS, check, random_arrays, spread

MAX: dict[str, Any] = {"kernel": (2, 2), "stride": None, "pad": (0, 0, 0, 0), "round": "floor"}
AVERAGE: dict[str, Any] = {**MAX, "count_include_pad": True, "to": None}
WINDOWS: list[dict[str, Any]] = [
    {},
    {"kernel": (3, 3), "stride": (2, 2), "pad": (1, 1, 1, 1)},
    {"kernel": (3, 2), "stride": (1, 2), "pad": (2, 0, 0, 1)},
    {"kernel": (3, 3), "stride": (2, 2), "round": "ceil"},
    {"kernel": (2, 2), "stride": (3, 3), "round": "ceil"},
    {"kernel": "global"},
]
SHAPES = [(5, 6, 7), (16, 9, 33), (37, 8, 5)]


@pytest.mark.parametrize(("target", "window", "shape"), spread(WINDOWS, SHAPES))
def test_pools(window: dict[str, Any], shape: tuple[int, ...], target: str) -> None:
    check("maxpool", {**MAX, **window}, [TensorType(shape)], target=target, batch=2)
    for include in (True, False):
        attrs = {**AVERAGE, **window, "count_include_pad": include}
        check("avgpool", attrs, [TensorType(shape)], target=target, batch=2)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("to", [(3, 4), (1, 1), (6, 7), (9, 5)], ids=str)
def test_adaptive(to: tuple[int, int], target: str) -> None:
    check("avgpool", {**AVERAGE, "kernel": None, "to": to}, [TensorType((20, 6, 7))], target=target, batch=2)


def test_epilogue() -> None:
    kinds = [TensorType((21, 6, 8)), TensorType((21, 3, 4)), TensorType((21,), False)]
    expr = maximum(Var(0) * Var(2) + Var(1), 0.0) + sigmoid(Var(1))
    check("maxpool", MAX, kinds, target=TARGETS[0], batch=2, epilogue=expr, extra=2)
    check("avgpool", AVERAGE, kinds, target=TARGETS[0], batch=2, epilogue=expr, extra=2, threads=2)


def test_nan_is_the_largest() -> None:
    (x,) = random_arrays([TensorType((3, 6, 6))], 1)
    x[0, 1, 2, 3] = np.nan
    x[0, 2, :, :] = -np.inf
    check(
        "maxpool", {**MAX, "kernel": (3, 3), "stride": (1, 1)}, [TensorType((3, 6, 6))], target=TARGETS[0], arrays=[x]
    )


@pytest.mark.parametrize(("target", "window", "shape"), spread(WINDOWS, SHAPES))
def test_gradients(window: dict[str, Any], shape: tuple[int, ...], target: str) -> None:
    small = infer_types("maxpool", {**MAX, **window}, [TensorType(shape)])[1][0]
    kinds = [TensorType(shape), small, small]
    x, y, g = random_arrays(kinds, 2)
    x = np.round(x)  # ties
    attrs = get("maxpool").resolve({**MAX, **window}, kinds[:1])
    check("maxpool_grad", attrs, kinds, target=target, batch=2, arrays=[x, y, g])
    for include in (True, False):
        given = {**AVERAGE, **window, "count_include_pad": include}
        attrs = {**get("avgpool").resolve(given, kinds[:1]), "shape": shape}
        check("avgpool_grad", attrs, [small], target=target, batch=2, arrays=[g], threads=2)


@pytest.mark.parametrize(("target", "window"), spread([*WINDOWS, {"kernel": (5, 5), "stride": (2, 2)}]))
def test_gradients_with_an_epilogue(window: dict[str, Any], target: str) -> None:
    """What else arrives at the same value is added, and its relu's gradient taken; at pixels of no window, too."""
    shape = (21, 9, 11)
    small = infer_types("maxpool", {**MAX, **window}, [TensorType(shape)])[1][0]
    kinds = [TensorType(shape), small, small, TensorType(shape), TensorType((21, 1, 1))]
    x, y, g, added, gate = random_arrays(kinds, 2)
    x = np.round(x)
    expr = select("gt", Var(1), Var(2), Var(0) + Var(1), sigmoid(Var(2)))
    attrs = get("maxpool").resolve({**MAX, **window}, kinds[:1])
    arrays = [x, y, g, added, gate]
    check("maxpool_grad", attrs, kinds, target=target, batch=2, arrays=arrays, epilogue=expr, extra=2, threads=2)
    attrs = {**get("avgpool").resolve({**AVERAGE, **window}, kinds[:1]), "shape": shape}
    arrays = [g, added, gate]
    check("avgpool_grad", attrs, kinds[2:], target=target, batch=2, arrays=arrays, epilogue=expr, extra=2, threads=2)


@pytest.mark.parametrize("to", [(3, 4), (1, 1), (9, 5)], ids=str)
def test_gradient_of_adaptive(to: tuple[int, int]) -> None:
    attrs = {**AVERAGE, "kernel": None, "to": to, "shape": (20, 6, 7)}
    check("avgpool_grad", attrs, [TensorType((20, *to))], target=TARGETS[0], batch=2)


def test_gradient_goes_to_the_first_nan() -> None:
    kinds = [TensorType((3, 6, 6)), TensorType((3, 3, 3)), TensorType((3, 3, 3))]
    x, y, g = random_arrays(kinds, 1)
    x[0, 1, 2, 3] = x[0, 1, 3, 2] = np.nan
    x[0, 2, 0, 0], x[0, 2, 1, 1] = np.inf, np.nan
    x[0, 0, :2] = -np.inf
    attrs = {**MAX, "stride": (2, 2)}
    check("maxpool_grad", attrs, kinds, target=TARGETS[0], arrays=[x, y, g])
