"""Kernels over random shapes and arguments, each against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from netdsl.ir.scalar import Expr, Var, select
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import ShapeError, get
from tests.backends.llvm.harness import TARGETS, Array, check

Draw = Callable[[st.SearchStrategy[Any]], Any]
Case = tuple[dict[str, Any], list[TensorType]]

channels, rows, columns = st.integers(1, 40), st.integers(1, 9), st.integers(1, 33)
maps = st.tuples(channels, rows, columns)
shapes = st.one_of(maps, st.tuples(channels), st.tuples(channels, columns))
SCALAR = TensorType((), False)


def same(count: int, **attrs: Any) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        shape = draw(shapes)
        return attrs, [TensorType(shape)] * count

    return case


def pool(op: str) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        size, pads = st.integers(1, 4), st.integers(0, 2)
        attrs = {"kernel": draw(st.tuples(size, size)), "stride": draw(st.tuples(size, size))}
        attrs |= {"pad": draw(st.tuples(pads, pads, pads, pads)), "round": draw(st.sampled_from(["floor", "ceil"]))}
        if op.startswith("avg"):
            attrs |= {"count_include_pad": draw(st.booleans()), "to": None}
        x = TensorType(draw(maps))
        if not op.endswith("_grad"):
            return attrs, [x]
        attrs, (small,) = infer_types(op.removesuffix("_grad"), attrs, [x])
        return (attrs, [x, small, small]) if op == "maxpool_grad" else ({**attrs, "shape": x.shape}, [small])

    return case


def adaptive(draw: Draw) -> Case:
    attrs = {"kernel": None, "stride": None, "pad": (0, 0, 0, 0), "round": "floor", "count_include_pad": True}
    return attrs | {"to": draw(st.tuples(rows, rows))}, [TensorType(draw(maps))]


def upsample(op: str) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        rule = draw(st.sampled_from(["half_pixel", "align_corners", "asymmetric"]))
        mode = "bilinear" if rule == "align_corners" else draw(st.sampled_from(["nearest", "bilinear"]))
        shape, size = draw(maps), draw(st.tuples(rows, columns))
        attrs: dict[str, Any] = {"factor": None, "size": size, "mode": mode, "coords": rule}
        if op == "upsample":
            return attrs, [TensorType(shape)]
        return attrs | {"shape": shape}, [TensorType((shape[0], *size))]

    return case


def concat(draw: Draw) -> Case:
    rest = draw(st.tuples(rows, columns))
    return {}, [TensorType((c, *rest)) for c in draw(st.lists(channels, min_size=1, max_size=4))]


def channel_slice(draw: Draw) -> Case:
    shape = draw(maps)
    start = draw(st.integers(0, shape[0] - 1))
    return {"start": start, "stop": draw(st.integers(start + 1, shape[0]))}, [TensorType(shape)]


def border(draw: Draw) -> Case:
    amount = st.integers(0, 3)
    return {"by": draw(st.tuples(amount, amount, amount, amount))}, [TensorType(draw(maps))]


def flatten(draw: Draw) -> Case:
    return {}, [TensorType(draw(shapes))]


def reshape(draw: Draw) -> Case:
    c, h, w = draw(maps)
    order = draw(st.permutations([c, h, w]))
    return {"shape": tuple(order)}, [TensorType((c, h, w))]


def sum_to(draw: Draw) -> Case:
    shape = draw(shapes)
    kept = [draw(st.booleans()) for _ in shape]
    result = tuple(size if keep else 1 for size, keep in zip(shape, kept, strict=True))
    return {"shape": result[: draw(st.integers(0, len(result)))], "batched": draw(st.booleans())}, [TensorType(shape)]


def broadcast(draw: Draw) -> Case:
    shape = draw(maps)
    other = tuple(size if draw(st.booleans()) else 1 for size in shape)
    flags = draw(st.tuples(st.booleans(), st.booleans()))
    return {}, [TensorType(shape, flags[0]), TensorType(other[: draw(st.integers(0, 3))], flags[1])]


def normalization(op: str) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        x = TensorType(draw(maps))
        channel = TensorType(x.shape[:1], False)
        if op == "bn_train":
            return {"eps": 1e-3, "momentum": 0.1}, [x, *[channel] * 4]
        return {}, [x, *[channel] * 4] if op == "bn_apply" else [x, x, *[channel] * 3]

    return case


def window(count: int) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        attrs = {"size": draw(st.integers(1, 20)), "alpha": 0.3, "beta": draw(st.sampled_from([0.75, 0.6])), "k": 1.5}
        return attrs, [TensorType(draw(shapes))] * count

    return case


def entropy(op: str) -> Callable[[Draw], Case]:
    def case(draw: Draw) -> Case:
        logits = TensorType(draw(st.one_of(maps, st.tuples(channels))))
        label = TensorType(logits.shape[1:], True, DType.I32)
        attrs = {"ignore": draw(st.sampled_from([None, 1]))}
        return attrs, [logits, label] if op == "cross_entropy" else [SCALAR, logits, label]

    return case


CASES: dict[str, Callable[[Draw], Case]] = {
    **{op: same(1) for op in ("relu", "tanh", "softmax", "log_softmax", "identity")},
    **{op: same(2) for op in ("add", "softmax_grad", "log_softmax_grad", "mse", "likelihood")},
    **{op: pool(op) for op in ("maxpool", "avgpool", "maxpool_grad", "avgpool_grad")},
    **{op: upsample(op) for op in ("upsample", "upsample_grad")},
    **{op: normalization(op) for op in ("bn_train", "bn_apply", "bn_train_grad")},
    **{op: entropy(op) for op in ("cross_entropy", "cross_entropy_grad")},
    "mul": broadcast, "concat": concat, "slice": channel_slice, "crop": border, "pad": border, "flatten": flatten,
    "reshape": reshape, "sum_to": sum_to, "lrn": window(1), "lrn_grad": window(2),
}  # fmt: skip


@st.composite
def cases(draw: Draw) -> tuple[str, dict[str, Any], list[TensorType]]:
    op = draw(st.sampled_from([*CASES, "adaptive"]))
    name = "avgpool" if op == "adaptive" else op
    try:
        attrs, kinds = adaptive(draw) if op == "adaptive" else CASES[op](draw)
        definition = get(name)
        definition.infer(definition.resolve(attrs, kinds), kinds)
    except (ShapeError, AssertionError):
        reject()
    return name, attrs, kinds


def drawn(kinds: list[TensorType], batch: int, seed: int) -> list[Array]:
    """Operands of these types."""
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 40, kind.full_shape(batch)).astype(np.int32)
        if kind.dtype is DType.I32
        else np.asarray(rng.standard_normal(kind.full_shape(batch)), np.float32)
        for kind in kinds
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.sampled_from(TARGETS), st.integers(1, 3), st.integers(1, 3), st.integers(0, 5))
def test_any_shape(
    case: tuple[str, dict[str, Any], list[TensorType]], target: str, batch: int, threads: int, seed: int
) -> None:
    op, attrs, kinds = case
    arrays = drawn(kinds, batch, seed)
    check(op, attrs, kinds, target=target, batch=batch, threads=threads, arrays=arrays, tolerance=2e-5)


@st.composite
def fused(draw: Draw) -> tuple[str, dict[str, Any], list[TensorType], list[TensorType], Expr]:
    """An op, its operands, and an epilogue with one or two operands, the second maybe repeated over its result."""
    op = draw(st.sampled_from(["bn_train", "bn_apply", "bn_train_grad", *(op for op in CASES if "pool" in op)]))
    try:
        attrs, kinds = CASES[op](draw)
        result = get(op).infer(get(op).resolve(attrs, kinds), kinds)[0]
    except (ShapeError, AssertionError):
        reject()
    other = tuple(size if draw(st.booleans()) else 1 for size in result.shape)
    extra = [result, TensorType(other, draw(st.booleans()))][: draw(st.integers(1, 2))]
    summed = Var(0) + Var(1)
    return op, attrs, kinds, extra, draw(st.sampled_from([summed, select("gt", Var(len(extra)), 0.0, summed, 0.5)]))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(fused(), st.sampled_from(TARGETS), st.integers(1, 3), st.integers(1, 3), st.integers(0, 5))
def test_any_shape_with_an_epilogue(
    case: tuple[str, dict[str, Any], list[TensorType], list[TensorType], Expr],
    target: str,
    batch: int,
    threads: int,
    seed: int,
) -> None:
    op, attrs, kinds, extra, expr = case
    arrays = drawn([*kinds, *extra], batch, seed)
    how: dict[str, Any] = {"target": target, "batch": batch, "threads": threads, "arrays": arrays}
    check(op, attrs, [*kinds, *extra], epilogue=expr, extra=len(extra), tolerance=2e-5, **how)
