from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.graph import Graph
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.ops.base import Call, TrainingContext, get
from netdsl.ops.dropout import keep_mask, keep_threshold
from tests.ops.support import batched

COUNTER = TensorType((), False, DType.I32)


def fmix(h: int) -> int:
    """MurmurHash3's finalizer on Python integers."""
    h ^= h >> 16
    h = h * 0x85EBCA6B & 0xFFFFFFFF
    h ^= h >> 13
    h = h * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def test_mask_is_the_documented_function() -> None:
    salt, step, seed = 0xDEADBEEF, 17, -5
    key = 0
    for word in (salt, step, seed & 0xFFFFFFFF):
        key = fmix(((key ^ word) + 0x9E3779B9) & 0xFFFFFFFF)
    expected = [fmix((fmix(i ^ key) + key) & 0xFFFFFFFF) >> 8 >= 0.3 * 2**24 for i in range(1000)]
    np.testing.assert_array_equal(keep_mask(1000, 0.3, salt, step, seed), expected)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_masks_are_fair_and_independent(p: float) -> None:
    masks = {
        (salt, step, seed): keep_mask(40_000, p, salt, step, seed)
        for salt in (1, 2)
        for step in (1, 2)
        for seed in (1, 2)
    }
    deviation = (p * (1 - p) / 40_000) ** 0.5
    for mask in masks.values():
        assert abs(mask.mean() - (1 - p)) < 5 * deviation
        assert abs(np.corrcoef(mask[:-1], mask[1:])[0, 1]) < 0.025
    base = masks.pop((1, 1, 1))
    for mask in masks.values():
        assert abs(np.corrcoef(base, mask)[0, 1]) < 0.025


def test_extreme_probabilities() -> None:
    assert keep_threshold(0.0) == 0 and keep_threshold(1.0) == 2**24
    assert keep_mask(1000, 0.0, 1, 2, 3).all() and not keep_mask(1000, 1.0, 1, 2, 3).any()


def test_gradient_is_the_same_mask() -> None:
    graph = Graph("d")
    build = builder(graph)
    x, step, seed = build.input("x", batched(50)), build.input("step", COUNTER), build.input("seed", COUNTER)
    node = build.op("dropout_apply", [x, step, seed], {"p": 0.4, "salt": 7})
    g = build.input("g", batched(50))
    grads = get("dropout_apply").gradient(build, node, [g])
    assert grads[1:] == [None, None] and grads[0] is not None
    ones = np.ones((2, 50), np.float32)
    counters = [np.array(3, np.int32), np.array(4, np.int32)]
    (forward,) = get("dropout_apply").reference(Call.of(node), [ones, *counters])
    (backward,) = get("dropout_apply").reference(Call.of(grads[0].node), [ones, *counters])
    np.testing.assert_array_equal(forward, backward)
    assert set(np.unique(forward)) == {np.float32(0), np.float32(1 / 0.6)}


def test_training_form_takes_its_salt_from_the_name() -> None:
    graph = Graph("d")
    build = builder(graph)
    x, counter = build.input("x", batched(5)), build.input("step", COUNTER)
    layers = Graph("layers")
    for name, p in (("drop1", 0.5), ("drop2", 0.5), ("none", 0.0)):
        node = builder(layers).op("dropout", [x], {"p": p}, name=name)
        results = get("dropout").training(build, node, [x], TrainingContext(counter, counter))
        assert (results is None) == (p == 0)
    salts = {node.attrs["salt"] for node in graph.nodes if node.op == "dropout_apply"}
    assert len(salts) == 2
