"""The axes of each kind of convolution, from a call's shapes and arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from netdsl.ops.base import Call
from netdsl.plan.layout import Halo
from netdsl_llvm.windows import Axis, halo_of, transposed_axes, window_axis

Kind = TypeVar("Kind", Axis, tuple[Axis, ...])
Axes = tuple[tuple[Axis, ...], tuple[Axis, ...]]
"""Phases of the rows and of the columns."""


def _along_both(
    call: Call, shape: tuple[int, ...], axis: Callable[[int, int, int, int, int], Kind]
) -> tuple[Kind, Kind]:
    """``axis`` of the rows and of the columns of ``shape``, with the kernel, stride, padding and dilation of each."""
    top, _, left, _ = call.attrs["pad"]
    stride, dilation, kernel = call.attrs["stride"], call.attrs["dilation"], call.attrs["kernel"]
    _, height, width = shape
    return (
        axis(height, kernel[0], stride[0], top, dilation[0]),
        axis(width, kernel[1], stride[1], left, dilation[1]),
    )


def conv_axes(call: Call) -> tuple[Axis, Axis]:
    """Of conv(x, w): x (C, H, W), w (O, I, kh, kw)."""
    return _along_both(call, call.outputs[0].shape, window_axis)


def transposed_conv_axes(call: Call) -> Axes:
    """Of deconv(x, w) and conv_grad_input(grad, w), w (C, O, kh, kw): phases of the strides."""
    return _along_both(call, call.outputs[0].shape, transposed_axes)


def conv_halo(call: Call) -> Halo:
    """The border a convolution reads around x."""
    rows, cols = conv_axes(call)
    return halo_of((rows,), (cols,), *call.inputs[0].shape[1:])


def transposed_conv_halo(call: Call) -> Halo:
    """The border a transposed convolution reads around its first operand."""
    rows, cols = transposed_conv_axes(call)
    return halo_of(rows, cols, *call.inputs[0].shape[1:])


def grad_weight_axes(call: Call) -> tuple[Axis, Axis]:
    """Of conv_grad_weight(g, x): the layer's own windows, over all positions of g."""
    return _along_both(call, call.inputs[0].shape, window_axis)


def grad_weight_halo(call: Call) -> Halo:
    """The border the gradient of a convolution's weight reads around x."""
    rows, cols = grad_weight_axes(call)
    return halo_of((rows,), (cols,), *call.inputs[1].shape[1:])
