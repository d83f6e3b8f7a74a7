from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Code
from netdsl.ops.base import ShapeError, get
from tests.ops.support import OneOp, batched, check_differences, check_torch, labels


@pytest.mark.parametrize("shape", [(1,), (6,), (4, 2, 3)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    op = OneOp(name, [batched(*shape)], {})
    x = np.random.default_rng(1).standard_normal((3, *shape)) * 4
    check_torch(op, [x], lambda t: getattr(torch, name)(t, 1))
    check_differences(op, [x])


def test_softmax_of_large_numbers() -> None:
    x = np.array([[1e4, 1e4 - 1, -1e4], [-np.inf, 0.0, 0.0]])
    y, _ = OneOp("softmax", [batched(3)], {}).run([x], np.float32)
    np.testing.assert_allclose(y, [[0.7310586, 0.2689414, 0], [0, 0.5, 0.5]], rtol=1e-6)
    y, _ = OneOp("softmax", [batched(2)], {}).run([np.array([[np.nan, 1.0], [np.inf, 1.0]])])
    assert np.isnan(y[0]).all() and np.isnan(y[1, 0])


@settings(max_examples=20, deadline=None)
@given(classes=st.integers(1, 5), positions=st.sampled_from([(), (2, 3)]), ignore=st.sampled_from([None, 0, 255]))
def test_cross_entropy(classes: int, positions: tuple[int, ...], ignore: int | None) -> None:
    torch = pytest.importorskip("torch")
    op = OneOp("cross_entropy", [batched(classes, *positions), labels(*positions)], {"ignore": ignore})
    rng = np.random.default_rng(classes)
    label = rng.integers(0, classes, (3, *positions), dtype=np.int32)
    if ignore == 255:
        label.flat[0] = 255
    logits = rng.standard_normal((3, classes, *positions)) * 3
    if ignore == 0 and not label.any():
        result, grads = op.run([logits, label])
        assert np.isnan(result) and not grads[0].any()
        return
    index = -100 if ignore is None else ignore
    check_torch(op, [logits, label], lambda x, t: torch.nn.functional.cross_entropy(x, t, ignore_index=index))


@pytest.mark.parametrize("smooth", [0.1, 1.0])
@pytest.mark.parametrize("ignore", [None, 2])
def test_smoothed_cross_entropy(smooth: float, ignore: int | None) -> None:
    """Loss and gradient are the library's ``label_smoothing``."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    op = OneOp("cross_entropy", [batched(5, 3, 2), labels(3, 2)], {"ignore": ignore, "smooth": smooth})
    logits, label = rng.standard_normal((4, 5, 3, 2)), rng.integers(0, 5, (4, 3, 2)).astype(np.int32)
    index = -100 if ignore is None else ignore

    def library(x: Any, t: Any) -> Any:
        return torch.nn.functional.cross_entropy(x, t, ignore_index=index, label_smoothing=smooth)

    check_torch(op, [logits, label], library)


def test_cross_entropy_by_differences() -> None:
    op = OneOp("cross_entropy", [batched(4, 2, 1), labels(2, 1)], {"ignore": 3})
    label = np.array([[[0], [3]], [[1], [2]], [[3], [3]]], np.int32)
    check_differences(op, [np.random.default_rng(2).standard_normal((3, 4, 2, 1)), label])


@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_label_that_is_no_channel_shows(wrong: int) -> None:
    op = OneOp("cross_entropy", [batched(4), labels()], {})
    result, grads = op.run([np.zeros((3, 4)), np.array([0, wrong, 1], np.int32)])
    assert np.isnan(result)
    assert np.isnan(grads[0][1]).all() and np.isfinite(grads[0][[0, 2]]).all()


def test_cross_entropy_stays_finite_for_large_logits() -> None:
    op = OneOp("cross_entropy", [batched(3), labels()], {})
    x = np.array([[1e4, 0, -1e4], [1e4, 0, -1e4]])
    result, grads = op.run([x, np.array([0, 2], np.int32)], np.float32)
    np.testing.assert_allclose(result, 1e4)
    np.testing.assert_allclose(grads[0], [[0, 0, 0], [0.5, 0, -0.5]], atol=1e-7)


def loss_arrays(name: str, shape: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    prediction = rng.standard_normal((3, *shape)) * 3
    if name == "bce":
        prediction = rng.uniform(0.01, 0.99, (3, *shape))
    return [prediction, rng.uniform(0, 1, (3, *shape))]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 2)])
@pytest.mark.parametrize(
    ("name", "function"),
    [("mse", "mse_loss"), ("bce", "binary_cross_entropy"), ("bce_logits", "binary_cross_entropy_with_logits")],
)
def test_mean_losses(name: str, function: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    op = OneOp(name, [batched(*shape), batched(*shape)], {})
    arrays = loss_arrays(name, shape)
    check_differences(op, arrays)
    fixed = OneOp(name, [batched(*shape), batched(*shape)], {})
    fixed.grads.pop(1)  # the library's losses have no gradient to the target
    target = torch.tensor(arrays[1])
    check_torch(fixed, arrays, lambda p, _: getattr(torch.nn.functional, function)(p, target))


def test_bce_at_its_ends() -> None:
    torch = pytest.importorskip("torch")
    p = np.array([[0.0], [1.0], [0.0], [1.0]])
    t = np.array([[0.0], [1.0], [1.0], [0.0]])
    op = OneOp("bce", [batched(1), batched(1)], {})
    result, grads = op.run([p, t])
    tensor = torch.tensor(p, requires_grad=True)
    expected = torch.nn.functional.binary_cross_entropy(tensor, torch.tensor(t))
    expected.backward()
    np.testing.assert_allclose(result, expected.item())
    np.testing.assert_allclose(grads[0], tensor.grad.numpy())
    assert result == 50.0


def test_bce_logits_of_large_numbers() -> None:
    op = OneOp("bce_logits", [batched(1), batched(1)], {})
    result, grads = op.run([np.array([[1e4], [-1e4]]), np.array([[0.0], [0.0]])], np.float32)
    assert result == 5e3
    np.testing.assert_array_equal(grads[0], [[0.5], [0.0]])


def test_operands_that_do_not_fit() -> None:
    cases = [
        ("cross_entropy", [batched(4), batched(4)], Code.WRONG_TYPE),
        ("cross_entropy", [batched(4, 2, 2), labels()], Code.SHAPE_MISMATCH),
        ("cross_entropy", [batched(), labels()], Code.BAD_RANK),
        ("mse", [batched(4), batched(5)], Code.SHAPE_MISMATCH),
        ("bce", [batched(4), batched(4, 1, 1)], Code.SHAPE_MISMATCH),
        ("bce", [batched(4), labels(4)], Code.WRONG_TYPE),
        ("softmax", [batched()], Code.BAD_RANK),
    ]
    for name, types, code in cases:
        with pytest.raises(ShapeError) as caught:
            get(name).infer({}, types)
        assert caught.value.code is code, name
