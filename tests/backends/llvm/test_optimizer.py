"""Optimizer steps, gradients of means."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.scalar import Var
from netdsl.ir.types import TensorType
from tests.backends.llvm.harness import TARGETS, check, spread

NUMBER = TensorType((), False)


@pytest.mark.parametrize(("target", "shape", "nesterov"), spread([(), (7,), (20, 3, 5, 5)], [False, True]))
def test_sgd(shape: tuple[int, ...], nesterov: bool, target: str) -> None:
    attrs = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": 1e-2}
    check("sgd", attrs, [*[TensorType(shape, False)] * 3, NUMBER], target=target)


@pytest.mark.parametrize("target", TARGETS)
def test_mean_grad(target: str) -> None:
    kinds = [NUMBER, TensorType((5, 7, 9)), TensorType((5, 7, 9))]
    check("mean_grad", {"expr": 2.0 * (Var(0) - Var(1)) + 1.0}, kinds, target=target, batch=2)


def test_a_diverged_learning_rate_shows() -> None:
    attrs = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    arrays = [np.ones(3, np.float32)] * 3 + [np.asarray(np.nan, np.float32)]
    check("sgd", attrs, [*[TensorType((3,), False)] * 3, NUMBER], target=TARGETS[0], arrays=arrays)
