"""Kernels that move elements: channels, borders, resampling, other shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netdsl.ir.types import TensorType
from netdsl.ops import builder
from tests.backends.llvm.harness import TARGETS, check, compiled, random_arrays, single_op, spread

PARTS = [(3, 5), (16, 7, 20), (1, 1, 1), (40, 8), (5, 33, 2), (8, 4, 12)]


@pytest.mark.parametrize(("target", "parts", "size"), spread(PARTS, [(), (3, 5)]))
def test_concat(parts: tuple[int, ...], size: tuple[int, ...], target: str) -> None:
    check("concat", {}, [TensorType((c, *size)) for c in parts], target=target, batch=2, threads=2)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("limits", [(0, 5), (3, 20), (16, 37), (36, 37), (8, 12)], ids=str)
def test_slice_and_its_adjoint(limits: tuple[int, int], target: str) -> None:
    start, stop = limits
    check("slice", {"start": start, "stop": stop}, [TensorType((37, 3, 5))], target=target, batch=2)
    around = {"before": start, "after": 37 - stop}
    check("pad_channels", around, [TensorType((stop - start, 3, 5))], target=target, batch=2)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("by", [(1, 1, 1, 1), (0, 2, 3, 0), (0, 0, 0, 0)], ids=str)
def test_crop_and_pad(by: tuple[int, ...], target: str) -> None:
    check("crop", {"by": by}, [TensorType((19, 6, 8))], target=target, batch=2)
    check("pad", {"by": by}, [TensorType((19, 6, 8))], target=target, batch=2)


def test_crop_like_another_map() -> None:
    kinds = [TensorType((5, 8, 9)), TensorType((3, 6, 6))]
    check("crop", {"by": None}, kinds, target=TARGETS[0], batch=2)
    check("pad", {"by": None}, kinds[::-1], target=TARGETS[0], batch=2)


MODES = [("nearest", "asymmetric"), ("nearest", "half_pixel")]
MODES += [("bilinear", coords) for coords in ("half_pixel", "align_corners", "asymmetric")]


@pytest.mark.parametrize(("target", "rule", "size"), spread(MODES, [(8, 10), (7, 3), (1, 1)]))
def test_upsample(rule: tuple[str, str], size: tuple[int, int], target: str) -> None:
    mode, coords = rule
    attrs: dict[str, Any] = {"factor": None, "size": size, "mode": mode, "coords": coords}
    check("upsample", attrs, [TensorType((19, 4, 5))], target=target, batch=2)
    check("upsample_grad", {**attrs, "shape": (19, 4, 5)}, [TensorType((19, *size))], target=target, batch=2)


RESHAPES = [
    ((19, 4, 5), (380,)),
    ((3, 2, 17), (102,)),
    ((380,), (19, 4, 5)),
    ((102,), (3, 2, 17)),
    ((6, 4, 5), (8, 3, 5)),
    ((6, 20), (4, 3, 10)),
    ((16, 1, 1), (16,)),
    ((2, 3, 4, 5), (2, 3, 20)),
    ((1,), ()),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("before", "after"), RESHAPES, ids=str)
def test_reshape(before: tuple[int, ...], after: tuple[int, ...], target: str) -> None:
    check("reshape", {"shape": after}, [TensorType(before)], target=target, batch=3)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (4, 8), (28, 28)], ids=str)
def test_flatten_one_channel(size: tuple[int, int], target: str) -> None:
    check("flatten", {}, [TensorType((1, *size))], target=target, batch=3, threads=2)


@pytest.mark.parametrize("target", TARGETS)
def test_flatten_what_lies_within_a_border(target: str) -> None:
    """A convolution that pads reads the same input."""
    graph = single_op("flatten", {}, [TensorType((1, 6, 7))])
    b = builder(graph)
    weight = b.input("w", TensorType((2, 1, 3, 3), False))
    attrs = {"channels": 2, "kernel": (3, 3), "pad": (1, 1, 1, 1), "bias": False}
    graph.outputs["maps"] = b.op("conv", [graph.inputs[0].output, weight], attrs, name="conv").output
    arrays = random_arrays([node.output.type for node in graph.inputs], 2)
    got = compiled(graph, target, 2).run(arrays)["y0"]
    assert np.array_equal(got, arrays[0].reshape(2, 42))


def test_flatten_keeps_class_numbers() -> None:
    from netdsl.ir.types import DType

    kind = TensorType((5, 7), True, DType.I32)
    graph = single_op("flatten", {}, [kind])
    arrays = [np.arange(-35, 35, dtype=np.int32).reshape(2, 5, 7)]
    got = compiled(graph, TARGETS[0], 2).run(arrays)["y0"]
    assert np.array_equal(got, arrays[0].reshape(2, 35))


def test_identity() -> None:
    kinds = [TensorType((19, 4, 5))]
    check("identity", {}, kinds, target=TARGETS[0], arrays=random_arrays(kinds, 2), batch=2)
