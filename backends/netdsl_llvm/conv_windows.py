"""The axes of each kind of convolution, from a call's shapes and arguments."""

from __future__ import annotations

from netdsl.ops.base import Call
from netdsl.plan.layout import Halo
from netdsl_llvm.windows import Axis, halo_of, transposed_axes, window_axis

Axes = tuple[tuple[Axis, ...], tuple[Axis, ...]]
"""Phases of the rows and of the columns."""


def conv_axes(call: Call) -> tuple[Axis, Axis]:
    """Of conv(x, w): x (C, H, W), w (O, I, kh, kw)."""
    top, _, left, _ = call.attrs["pad"]
    stride, dilation, kernel = call.attrs["stride"], call.attrs["dilation"], call.attrs["kernel"]
    _, height, width = call.outputs[0].shape
    return (
        window_axis(height, kernel[0], stride[0], top, dilation[0]),
        window_axis(width, kernel[1], stride[1], left, dilation[1]),
    )


def transposed_conv_axes(call: Call) -> Axes:
    """Of deconv(x, w) and conv_grad_input(grad, w), w (C, O, kh, kw): phases of the strides."""
    top, _, left, _ = call.attrs["pad"]
    stride, dilation, kernel = call.attrs["stride"], call.attrs["dilation"], call.attrs["kernel"]
    _, height, width = call.outputs[0].shape
    return (
        transposed_axes(height, kernel[0], stride[0], top, dilation[0]),
        transposed_axes(width, kernel[1], stride[1], left, dilation[1]),
    )


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
    top, _, left, _ = call.attrs["pad"]
    stride, dilation, kernel = call.attrs["stride"], call.attrs["dilation"], call.attrs["kernel"]
    _, height, width = call.inputs[0].shape
    return (
        window_axis(height, kernel[0], stride[0], top, dilation[0]),
        window_axis(width, kernel[1], stride[1], left, dilation[1]),
    )


def grad_weight_halo(call: Call) -> Halo:
    """The border the gradient of a convolution's weight reads around x."""
    rows, cols = grad_weight_axes(call)
    return halo_of((rows,), (cols,), *call.inputs[1].shape[1:])
