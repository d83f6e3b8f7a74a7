"""Gradients of pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.ops import window
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, StepOp, register
from netdsl.ops.pool import (
    COUNT_PAD,
    PAD,
    ROUND,
    STRIDE,
    TO,
    WINDOW,
    adaptive_matrix,
    adaptive_positions,
    divisors,
    patches,
)


class _PoolGrad(StepOp):
    """Base: arguments are those of the pool, resolved."""


@register
class MaxpoolGrad(_PoolGrad):
    """Gradient of ``maxpool``: (x, y, g) -> dx. ``g`` goes to the first maximum of its window in row-major order.

    NaN counts as larger than anything, as in ``maxpool``.
    """

    name: ClassVar[str] = "maxpool_grad"
    args: ClassVar[tuple[Arg, ...]] = (WINDOW, STRIDE, PAD, ROUND)
    operands: ClassVar[tuple[str, ...]] = ("x", "y", "g")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, y, g = inputs
        assert y == g, inputs
        return (x,)

    def cost(self, call: Call) -> Cost:
        # Comparisons that find the maximum again, and one addition a window.
        height, width = call.attrs["kernel"]
        return Cost(flops=(height * width + 1) * call.inputs[2].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, _, g = arrays
        result = call.inputs[2]
        views = patches(x, call.attrs, result, -np.inf)
        first = views.reshape(*views.shape[:4], -1).argmax(axis=4)
        rows, cols = positions(first, call)
        dx = np.zeros_like(x)
        samples, channels = np.ogrid[: x.shape[0], : x.shape[1]]
        np.add.at(dx, (samples[..., None, None], channels[..., None, None], rows, cols), g)
        return [dx]


def positions(tap: Array, call: Call) -> tuple[Array, Array]:
    """Row and column in the input of the chosen tap of each window ``[N, C, OH, OW]``."""
    width = call.attrs["kernel"][1]
    vertical, horizontal = window.windows_of(call.attrs, call.inputs[0].shape)
    rows = np.arange(tap.shape[2])[:, None] * vertical.stride - vertical.before + tap // width
    cols = np.arange(tap.shape[3]) * horizontal.stride - horizontal.before + tap % width
    return rows, cols


@register
class AvgpoolGrad(_PoolGrad):
    """Gradient of ``avgpool``: g -> dx of ``shape``; each window's share ``g / divisor`` at each of its positions."""

    name: ClassVar[str] = "avgpool_grad"
    args: ClassVar[tuple[Arg, ...]] = (
        WINDOW, STRIDE, PAD, ROUND, COUNT_PAD, TO, Arg("shape", Kind.SHAPE, doc="the input's shape"),
    )  # fmt: skip
    operands: ClassVar[tuple[str, ...]] = ("g",)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(tuple(attrs["shape"])),)

    def cost(self, call: Call) -> Cost:
        # One division a window, one addition a position of it.
        windows, (channels, height, width) = call.inputs[0].elements, call.attrs["shape"]
        if call.attrs["to"] is not None:
            return Cost(flops=windows + channels * adaptive_positions((height, width), call.attrs["to"]))
        rows, cols = call.attrs["kernel"]
        return Cost(flops=(rows * cols + 1) * windows)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, attrs = arrays[0], call.attrs
        _, height, width = attrs["shape"]
        if attrs["to"] is not None:
            rows, cols = (adaptive_matrix(n, o, g.dtype) for n, o in zip((height, width), attrs["to"], strict=True))
            return [rows.T @ g @ cols]
        share = g / divisors(attrs, attrs["shape"], call.inputs[0], g.dtype)
        vertical, horizontal = window.windows_of(attrs, attrs["shape"])
        rows, cols = (
            _membership(w, size, g.dtype) for w, size in zip((vertical, horizontal), g.shape[2:], strict=True)
        )
        return [rows.T @ share @ cols]


def _membership(w: window.Window, outputs: int, dtype: type) -> Array:
    """``[outputs, length]``: 1 where a position lies in a window."""
    starts = np.arange(outputs)[:, None] * w.stride - w.before
    at = np.arange(w.length)[None, :]
    return ((at >= starts) & (at < starts + w.kernel)).astype(dtype)
