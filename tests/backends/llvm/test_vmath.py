"""Accuracy of the vector functions in units in the last place, against float64."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from netdsl_llvm import vmath
from netdsl_llvm.compile import load, object_code
from netdsl_llvm.emit import Kernel, ModuleBuilder
from netdsl_llvm.target import Target

TARGETS = [name for name in ("avx512", "avx2", "sse4", "neon") if Target.named(name).runs_here]
FUNCTIONS = {"exp": vmath.exp, "log": vmath.log, "log1p": vmath.log1p, "tanh": vmath.tanh, "sigmoid": vmath.sigmoid}
BOUNDS = {"exp": 1.0, "log": 1.0, "log1p": 1.6, "tanh": 2.5, "sigmoid": 2.6}


def sigmoid(x: np.ndarray) -> np.ndarray:
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + tail), tail / (1 + tail))


EXACT = {"exp": np.exp, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": sigmoid}


def apply(name: str, target: Target, x: np.ndarray) -> np.ndarray:
    def build(k: Kernel) -> None:
        with k.loop(0, k.arg("n"), k.lanes) as i:
            k.store(FUNCTIONS[name](k, k.load(k.arg("x"), i)), k.arg("y"), i)

    module = ModuleBuilder(target)
    module.kernel("apply", ["x", "y"], build, integers=["n"]).linkage = "external"
    loaded = load(object_code(str(module.ir), target), ["apply"])
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 2, *[ctypes.c_void_p] * 2, ctypes.c_int64)
    y = np.zeros_like(x)
    kind(loaded.address("apply"))(0, 1, x.ctypes.data, y.ctypes.data, len(x))
    return y


def dense_samples() -> np.ndarray:
    """Every 997th bit pattern of float32, all kinds among them, and a fine grid of moderate ones."""
    bits = np.arange(0, 2**32, 997, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = np.linspace(-110, 110, 400_000).astype(np.float32)
    small = np.linspace(-2, 2, 400_000).astype(np.float32)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 88.72283, -87.33655, -103.97208, 1e-45, -1e-45], np.float32)
    all_of_them = np.concatenate([bits, near, small, edges])
    return np.concatenate([all_of_them, np.ones(-len(all_of_them) % 16, np.float32)])


def error_in_ulps(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return np.abs(got.astype(np.float64) - exact) / spacing


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bound(name: str, target: str) -> None:
    x = dense_samples()
    if name == "log1p":
        x = np.abs(x)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        rounded = exact.astype(np.float32)
        got = apply(name, Target.named(target), x)
        finite = np.isfinite(rounded)
        worst = error_in_ulps(got[finite], exact[finite]).max()
    assert worst <= BOUNDS[name]
    assert np.array_equal(got[~finite], rounded[~finite], equal_nan=True)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("exp", -np.inf, 0.0), ("exp", np.inf, np.inf), ("exp", 0.0, 1.0), ("log", 0.0, -np.inf), ("log", -1.0, np.nan),
        ("log", np.inf, np.inf), ("log", 1.0, 0.0), ("tanh", np.inf, 1.0), ("tanh", -np.inf, -1.0),
        ("tanh", 1e-40, 1e-40), ("tanh", -1e-45, -1e-45), ("tanh", -9.5, -1.0),
        ("sigmoid", -np.inf, 0.0), ("sigmoid", np.inf, 1.0), ("exp", np.nan, np.nan), ("log", np.nan, np.nan),
        ("tanh", np.nan, np.nan), ("sigmoid", np.nan, np.nan), ("log1p", np.inf, np.inf), ("log1p", 0.0, 0.0),
    ],
)  # fmt: skip
def test_special_values(target: str, name: str, x: float, y: float) -> None:
    got = apply(name, Target.named(target), np.full(16, x, np.float32))
    assert np.array_equal(got, np.full(16, y, np.float32), equal_nan=True)


def test_names_match_the_expression_language() -> None:
    from netdsl.ir import scalar

    functions: dict[str, Callable[..., object]] = dict(vmath.UNARY)
    assert set(functions) == set(scalar.UNARY)
