"""Convolution and its two adjoints on NumPy arrays: one matrix product a kernel position.

All take plain ``[N, C, H, W]`` arrays and weights ``(O, I/groups, kh, kw)``. With s, p, d for stride, padding and
dilation, and i = o * s + k * d - p along each axis:

    forward       y[o]  = sum over k of w[k] x[i]
    grad_input    gx[i] = sum over o, k of w[k] g[o]        (also the transposed convolution)
    grad_weight   gw[k] = sum over samples and o of g[o] x[i]
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from netdsl import numpy_on_use as np
from netdsl.ops.base import Array, Attrs


def forward(x: Array, weight: Array, attrs: Attrs, out: tuple[int, int]) -> Array:
    """``[N, O, *out]``."""
    groups, outputs = attrs["groups"], weight.shape[0]
    padded = pad_map(x, attrs["pad"])
    kernels = weight.reshape(groups, outputs // groups, -1, *weight.shape[2:])
    result = np.zeros((len(x), groups, outputs // groups, out[0] * out[1]), dtype=x.dtype)
    for (row, col), place in taps(attrs, out):
        result += kernels[..., row, col] @ grouped(padded[place], groups)
    return result.reshape(len(x), outputs, *out)


def grad_input(g: Array, weight: Array, attrs: Attrs, shape: tuple[int, int, int]) -> Array:
    """``[N, *shape]`` from the gradient of the output."""
    groups, outputs = attrs["groups"], weight.shape[0]
    channels, height, width = shape
    top, bottom, left, right = attrs["pad"]
    kernels = weight.reshape(groups, outputs // groups, -1, *weight.shape[2:]).swapaxes(1, 2)
    padded = np.zeros((len(g), channels, height + top + bottom, width + left + right), dtype=g.dtype)
    flat = grouped(g, groups)
    for (row, col), place in taps(attrs, g.shape[2:]):
        padded[place] += (kernels[..., row, col] @ flat).reshape(len(g), channels, *g.shape[2:])
    return padded[:, :, top : top + height, left : left + width].copy()


def grad_weight(g: Array, x: Array, attrs: Attrs) -> Array:
    """``(O, I/groups, kh, kw)`` from the gradient of the output and the input."""
    groups, outputs, channels = attrs["groups"], g.shape[1], x.shape[1]
    padded, flat = pad_map(x, attrs["pad"]), grouped(g, groups)
    result = np.zeros((groups, outputs // groups, channels // groups, *attrs["kernel"]), dtype=g.dtype)
    for (row, col), place in taps(attrs, g.shape[2:]):
        result[..., row, col] = (flat @ grouped(padded[place], groups).swapaxes(2, 3)).sum(axis=0)
    return result.reshape(outputs, channels // groups, *attrs["kernel"])


def taps(attrs: Attrs, out: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], tuple[slice, ...]]]:
    """Each kernel position, and the part of the padded input that it meets."""
    (step_y, step_x), (gap_y, gap_x) = attrs["stride"], attrs["dilation"]
    for row, col in product(*map(range, attrs["kernel"])):
        rows = slice(row * gap_y, row * gap_y + (out[0] - 1) * step_y + 1, step_y)
        cols = slice(col * gap_x, col * gap_x + (out[1] - 1) * step_x + 1, step_x)
        yield (row, col), (slice(None), slice(None), rows, cols)


def pad_map(x: Array, pad: tuple[int, int, int, int], value: float = 0.0) -> Array:
    """``x`` with (top, bottom, left, right) positions of ``value`` around."""
    if not any(pad):
        return x
    return np.pad(x, ((0, 0), (0, 0), pad[:2], pad[2:]), constant_values=value)


def grouped(x: Array, groups: int) -> Array:
    """``[N, C, H, W]`` as ``[N, groups, C/groups, H*W]``."""
    return x.reshape(len(x), groups, x.shape[1] // groups, -1)
