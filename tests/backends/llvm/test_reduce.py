"""Sums over batches and positions: sum_to, mean losses, batch normalization in training."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.scalar import Var, maximum, select, sigmoid
from netdsl.ir.types import TensorType
from tests.backends.llvm.harness import TARGETS, check, compiled, random_arrays, single_op, spread

SUMS = [
    ((5, 6, 7), (5,), False),
    ((37, 9, 33), (37,), False),
    ((37, 9, 33), (37, 1, 1), True),
    ((20, 6, 7), (), False),
    ((20, 6, 7), (1, 6, 7), True),
    ((20, 6, 7), (20, 6, 7), False),
    ((20, 6, 7), (20, 1, 7), False),
    ((20, 6, 7), (), True),
    ((20, 6), (20,), False),
    ((20, 6), (1, 6), True),
    ((40,), (40,), False),
    ((40,), (), False),
    ((6, 3, 2, 5), (6, 3), False),
    ((1, 3, 5), (1,), False),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "result", "batched"), SUMS, ids=str)
def test_sum_to(shape: tuple[int, ...], result: tuple[int, ...], batched: bool, target: str) -> None:
    check("sum_to", {"shape": result, "batched": batched}, [TensorType(shape)], target=target, batch=3)


LOSSES = ["mse", "bce", "bce_logits", "likelihood"]


@pytest.mark.parametrize(("target", "op", "shape"), spread(LOSSES, [(10,), (5, 3, 9), (17, 33, 40)]))
def test_mean_loss(op: str, shape: tuple[int, ...], target: str) -> None:
    kinds = [TensorType(shape), TensorType(shape)]
    arrays = [1 / (1 + np.exp(-array)) for array in random_arrays(kinds, 2)]
    check(op, {}, kinds, target=target, batch=2, arrays=[a.astype(np.float32) for a in arrays])


BATCHES = [((5, 3, 4), 2), ((16,), 7), ((37, 9, 33), 3), ((64, 40, 40), 1), ((3, 1, 1), 1)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "batch"), BATCHES, ids=str)
def test_batch_normalization(shape: tuple[int, ...], batch: int, target: str) -> None:
    channel = TensorType(shape[:1], False)
    kinds = [TensorType(shape), *[channel] * 4]
    check("bn_train", {"eps": 1e-5, "momentum": 0.1}, kinds, target=target, batch=batch, tolerance=1e-5)
    arrays = random_arrays([TensorType(shape), TensorType(shape), *[channel] * 3], batch)
    kinds = [TensorType(shape), TensorType(shape), *[channel] * 3]
    check("bn_train_grad", {}, kinds, target=target, batch=batch, arrays=arrays, tolerance=1e-5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(21, 5, 6), (33, 40, 40)], ids=str)
def test_batch_normalization_with_an_epilogue(shape: tuple[int, ...], target: str) -> None:
    channel = TensorType(shape[:1], False)
    kinds = [TensorType(shape), *[channel] * 4, TensorType(shape), TensorType((shape[0], 1, 1))]
    expr = maximum(Var(0) + Var(1), 0.0) + sigmoid(Var(2))
    attrs = {"eps": 1e-5, "momentum": 0.1}
    check("bn_train", attrs, kinds, target=target, batch=2, epilogue=expr, extra=2, tolerance=1e-5, threads=2)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(21, 5, 6), (33, 40, 40)], ids=str)
def test_the_gradient_of_batch_normalization_with_an_epilogue(shape: tuple[int, ...], target: str) -> None:
    """What else arrives at the same value is added, and its relu's gradient taken."""
    channel = TensorType(shape[:1], False)
    kinds = [TensorType(shape), TensorType(shape), *[channel] * 3, TensorType(shape), TensorType(shape)]
    expr = select("gt", Var(2), 0.0, Var(0) + Var(1), 0.0)
    check("bn_train_grad", {}, kinds, target=target, batch=2, epilogue=expr, extra=2, tolerance=1e-5, threads=2)


def test_statistics_of_a_channel_far_from_zero() -> None:
    kinds = [TensorType((4, 20, 20)), *[TensorType((4,), False)] * 4]
    arrays = random_arrays(kinds, 2)
    arrays[0] = (arrays[0] * 1e-2 + 100).astype(np.float32)
    check("bn_train", {"eps": 1e-5, "momentum": 0.1}, kinds, target=TARGETS[0], arrays=arrays, batch=2, tolerance=1e-3)


@pytest.mark.parametrize("shape", [(4, 33, 40), (600, 6, 5)], ids=str)
def test_statistics_of_samples_far_apart(shape: tuple[int, ...]) -> None:
    """The parts that are summed have means of their own, of which one is not as long as the others."""
    kinds = [TensorType(shape), *[TensorType(shape[:1], False)] * 4]
    arrays = random_arrays(kinds, 5)
    arrays[0] += np.float32(10) * np.arange(5, dtype=np.float32)[:, None, None, None]
    check("bn_train", {"eps": 1e-5, "momentum": 0.1}, kinds, target=TARGETS[0], arrays=arrays, batch=5, tolerance=3e-6)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("shape", "batch"), BATCHES, ids=str)
def test_normalizing_again_gives_the_same_bits(shape: tuple[int, ...], batch: int, target: str) -> None:
    channel = TensorType(shape[:1], False)
    expr = maximum(Var(0) + Var(1), 0.0)
    kinds = [TensorType(shape), *[channel] * 4, TensorType(shape)]
    arrays = random_arrays(kinds, batch)
    graph = single_op("bn_train", {"eps": 1e-5, "momentum": 0.1}, kinds, epilogue=expr, extra=1)
    y, mean, inverse = list(compiled(graph, target, batch, 1).run(arrays).values())[:3]
    again = single_op("bn_apply", {}, kinds, epilogue=expr, extra=1)
    [result] = compiled(again, target, batch, 1).run([*arrays[:3], mean, inverse, arrays[5]]).values()
    assert np.array_equal(result, y)


@pytest.mark.parametrize("op", ["bn_train", "bn_train_grad", "sum_to", "mse"])
def test_threads_give_the_same_bits(op: str) -> None:
    shape = (37, 19, 23)
    channel = TensorType(shape[:1], False)
    attrs, kinds = {
        "bn_train": ({"eps": 1e-5, "momentum": 0.1}, [TensorType(shape), *[channel] * 4]),
        "bn_train_grad": ({}, [TensorType(shape)] * 2 + [channel] * 3),
        "sum_to": ({"shape": (37,), "batched": False}, [TensorType(shape)]),
        "mse": ({}, [TensorType(shape)] * 2),
    }[op]
    graph, arrays = single_op(op, attrs, kinds), random_arrays(kinds, 3)
    results = [compiled(graph, TARGETS[0], 3, threads).run(arrays) for threads in (1, 2, 3)]
    for other in results[1:]:
        assert all(np.array_equal(results[0][name], other[name]) for name in other)
