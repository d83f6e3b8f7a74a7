"""Layers with a kernel of their own at every place, and distances to stored points."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.diagnostics import Code
from netdsl.ops import infer_types
from netdsl.ops.base import Call, ShapeError, get
from tests.ops.support import OneOp, batched
from tests.ops.support import weight as constant

RNG = np.random.default_rng(5)
WINDOW = {"channels": 5, "kernel": (3, 2), "stride": (2, 1), "pad": (1, 0, 1, 1)}


def test_local_with_one_kernel_everywhere_is_a_convolution() -> None:
    x, kernel, bias = (RNG.standard_normal(shape) for shape in ((2, 3, 7, 6), (5, 3, 3, 2), (5,)))
    expected, _ = OneOp("conv", [batched(3, 7, 6), constant(*kernel.shape), constant(*bias.shape)], WINDOW).run(
        [x, kernel, bias]
    )
    place = expected.shape[2:]
    weight = np.broadcast_to(kernel[:, None, None], (5, *place, 3, 3, 2)).copy()
    biases = np.broadcast_to(bias[:, None, None], (5, *place)).copy()
    found, _ = OneOp("local", [batched(3, 7, 6), constant(*weight.shape), constant(*biases.shape)], WINDOW).run(
        [x, weight, biases]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_local_has_weights_and_biases_of_its_own_at_every_place() -> None:
    attrs, _ = infer_types("local", WINDOW, [batched(3, 7, 6)])
    weight, bias = get("local").parameters(attrs, [batched(3, 7, 6)])
    assert weight.shape == (5, 3, 7, 3, 3, 2) and bias.shape == (5, 3, 7)
    assert weight.init.fan_in == 3 * 3 * 2
    plain = get("local").parameters({**attrs, "bias": False}, [batched(3, 7, 6)])
    assert [spec.name for spec in plain] == ["weight"]


def test_local_larger_than_its_input() -> None:
    with pytest.raises(ShapeError) as caught:
        infer_types("local", {"channels": 1, "kernel": (5, 5)}, [batched(1, 4, 4)])
    assert caught.value.code is Code.KERNEL_TOO_LARGE


@pytest.mark.parametrize(("norm", "macs"), [("l1", 0), ("squared", 12)])
def test_distance(norm: str, macs: int) -> None:
    x, stored = RNG.standard_normal((2, 4)), RNG.standard_normal((3, 4))
    attrs = {"points": 3, "norm": norm}
    found, _ = OneOp("distance", [batched(4), constant(*stored.shape)], attrs).run([x, stored])
    difference = x[:, None] - stored
    expected = np.abs(difference).sum(2) if norm == "l1" else np.square(difference).sum(2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    cost = get("distance").cost(Call(attrs, (batched(4), constant(*stored.shape)), (batched(3),)))
    assert (cost.macs, cost.flops) == (macs, 36)


def test_stored_points_are_not_learned() -> None:
    [stored] = get("distance").parameters({"points": 3, "norm": "l1"}, [batched(4)])
    assert stored.shape == (3, 4) and not stored.trainable and not stored.decay


def test_distance_works_on_features() -> None:
    with pytest.raises(ShapeError) as caught:
        infer_types("distance", {"points": 3}, [batched(1, 4, 4)])
    assert caught.value.help == "write `-> flatten -> distance(...)`"


def test_scale_is_a_line_for_every_channel() -> None:
    x, weight, bias = RNG.standard_normal((2, 3, 2, 2)), np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    found, _ = OneOp("scale", [batched(3, 2, 2), constant(*weight.shape), constant(*bias.shape)], {}).run(
        [x, weight, bias]
    )
    np.testing.assert_allclose(found, x * weight.reshape(3, 1, 1) + bias.reshape(3, 1, 1), rtol=1e-12)
