"""Softmax over channels and cross-entropy, with their gradients."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.types import DType, TensorType
from tests.backends.llvm.harness import TARGETS, check, random_arrays, spread

SHAPES = [(10,), (16,), (1000,), (3, 5), (21, 4, 7), (1, 2, 3)]


@pytest.mark.parametrize(("target", "shape", "op"), spread(SHAPES, ["softmax", "log_softmax"]))
def test_softmax(op: str, shape: tuple[int, ...], target: str) -> None:
    check(op, {}, [TensorType(shape)], target=target, batch=3)
    check(f"{op}_grad", {}, [TensorType(shape)] * 2, target=target, batch=2)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_far_values_and_nan(op: str) -> None:
    values = np.array([[-1e30, 0, 3e38, 1, 2], [1e4, 1e4, -1e4, 0, 0], [0, np.nan, 1, 2, 3]], np.float32)
    check(op, {}, [TensorType((5,))], target=TARGETS[0], arrays=[values], batch=3)


def label_of(shape: tuple[int, ...]) -> TensorType:
    return TensorType(shape[1:], True, DType.I32)


LOGITS = [(10,), (37,), (5, 20, 7), (21, 3, 33)]


@pytest.mark.parametrize(("target", "shape", "ignore"), spread(LOGITS, [None, 2]))
def test_cross_entropy(shape: tuple[int, ...], ignore: int | None, target: str) -> None:
    kinds = [TensorType(shape), label_of(shape)]
    arrays = random_arrays(kinds, 3, labels=shape[0])
    check("cross_entropy", {"ignore": ignore}, kinds, target=target, batch=3, arrays=arrays)
    g = np.asarray(0.7, np.float32)
    kinds = [TensorType((), False), *kinds]
    check("cross_entropy_grad", {"ignore": ignore}, kinds, target=target, batch=3, arrays=[g, *arrays], threads=2)


@pytest.mark.parametrize("labels", [[0, 9, 10], [-1, 3, 4], [2, 2, 2]])
def test_labels_that_are_no_channel_or_all_ignored(labels: list[int]) -> None:
    kinds = [TensorType((10,)), TensorType((), True, DType.I32)]
    arrays = [random_arrays(kinds[:1], 3)[0], np.array(labels, np.int32)]
    check("cross_entropy", {"ignore": 2}, kinds, target=TARGETS[0], batch=3, arrays=arrays)
    g = np.asarray(1.0, np.float32)
    kinds = [TensorType((), False), *kinds]
    check("cross_entropy_grad", {"ignore": 2}, kinds, target=TARGETS[0], batch=3, arrays=[g, *arrays])
