"""Sliding windows along one axis, forward and transposed, as what a kernel walks: affine lists of taps.

A convolution's axis is one :class:`Axis`. A transposed one (deconvolution, gradient of a convolution's input) falls
apart into one axis a phase of its stride: results at positions c, c + stride, c + 2 stride, ... all see the same taps
of the kernel, and neighbours read neighbouring inputs.
"""

from __future__ import annotations

from math import gcd

from netdsl.plan.layout import Halo
from netdsl.record import record


@record
class Axis:
    """Output ``o`` (0 <= o < count) at result position ``out_first + o * out_step`` sums over taps t < ``taps``:
    input position ``in_first + o * in_step + t * tap_in``, kernel position ``tap_first + t * tap_step``.
    """

    count: int
    out_first: int
    out_step: int
    in_first: int
    in_step: int
    taps: int
    tap_in: int
    tap_first: int
    tap_step: int

    @property
    def lowest(self) -> int:
        """The first input position read (negative: above the map)."""
        return self.in_first + min(0, (self.taps - 1) * self.tap_in)

    @property
    def highest(self) -> int:
        """The last input position read."""
        return self.in_first + (self.count - 1) * self.in_step + max(0, (self.taps - 1) * self.tap_in)


def window_axis(outputs: int, kernel: int, stride: int, pad: int, dilation: int) -> Axis:
    """A convolution's axis with ``pad`` leading zeros."""
    return Axis(outputs, 0, 1, -pad, stride, kernel, dilation, 0, 1)


def transposed_axes(results: int, kernel: int, stride: int, pad: int, dilation: int) -> tuple[Axis, ...]:
    """The phases of a transposed convolution with ``results`` positions.

    Result i is the sum over kernel positions k and inputs o with ``o * stride + k * dilation - pad == i``.
    """
    return tuple(_phase(results, kernel, stride, pad, dilation, first) for first in range(min(stride, results)))


def _phase(results: int, kernel: int, stride: int, pad: int, dilation: int, first: int) -> Axis:
    count = -(-(results - first) // stride)
    common = gcd(stride, dilation)
    fitting = [k for k in range(kernel) if (first + pad - k * dilation) % stride == 0]
    if not fitting:
        return Axis(count, first, stride, 0, 1, 0, 0, 0, 1)
    start = (first + pad - fitting[0] * dilation) // stride
    return Axis(count, first, stride, start, 1, len(fitting), -(dilation // common), fitting[0], stride // common)


def halo_of(rows: tuple[Axis, ...], cols: tuple[Axis, ...], height: int, width: int) -> Halo:
    """The border that the axes read around a map of this size."""
    above, below = _border(rows, height)
    left, right = _border(cols, width)
    return (above, below, left, right)


def _border(axes: tuple[Axis, ...], size: int) -> tuple[int, int]:
    reading = [axis for axis in axes if axis.taps]
    before = max((-axis.lowest for axis in reading), default=0)
    after = max((axis.highest - (size - 1) for axis in reading), default=0)
    return max(before, 0), max(after, 0)
