"""Arithmetic of sliding windows along one axis, shared by convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from netdsl.diagnostics import Code
from netdsl.ir.types import TensorType
from netdsl.ops.base import Attrs, AxisMap, OpWarning, ReceptiveRule, ShapeError
from netdsl.ops.pointwise import require_axes
from netdsl.record import struct

MAX_ELEMENTS = 2**31 - 1
"""Elements of one sample of a tensor; kernels index with 32 bits."""
MAX_AXES = 8
SAME_WORDS = ("same", "same_upper", "same_lower")
AXIS_NAMES = ("height", "width")


@struct
class Window:
    """A window of ``kernel`` taps ``dilation`` apart, moved by ``stride`` over ``length`` positions."""

    length: int
    kernel: int
    stride: int
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def extent(self) -> int:
        """Positions from the first tap to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def slack(self) -> int:
        """Positions the window can move; negative when it is larger than the padded input."""
        return self.length + self.before + self.after - self.extent

    @property
    def arithmetic(self) -> str:
        """The output size as one would write it down, before rounding, e.g. ``(7 + 1 + 1 - 3)/2 + 1 = 4``."""
        parts = [str(self.length)]
        parts += [f"+ {pad}" for pad in (self.before, self.after) if pad]
        parts.append(f"- {self.extent}")
        return f"({' '.join(parts)})/{self.stride} + 1 = {decimal(Fraction(self.slack, self.stride) + 1)}"

    def outputs(self, rounding: str) -> int:
        """Number of windows. ``floor`` (also ``exact``): those that fit into the padded input.

        ``ceil``: one more where positions remain, unless it would start beyond the image and its leading padding.
        ``ceil_caffe``: the same, but without any padding the last window is never given up, as in Caffe.
        """
        floor = self.slack // self.stride + 1
        if rounding in ("floor", "exact"):
            return floor
        ceil = -(-self.slack // self.stride) + 1
        starts_outside = (ceil - 1) * self.stride >= self.length + self.before
        padded = self.before or self.after
        return ceil - 1 if starts_outside and (rounding == "ceil" or padded) else ceil

    def dropped(self, outputs: int) -> int:
        """Real positions behind the last window that no window sees, beyond those that its stride skips anyway."""
        end = (outputs - 1) * self.stride - self.before + self.extent
        return max(0, self.length - end - max(0, self.stride - self.extent))


def windows_of(attrs: Attrs, shape: Sequence[int]) -> tuple[Window, Window]:
    """The (vertical, horizontal) windows of resolved arguments over ``[C, H, W]``."""
    top, bottom, left, right = attrs["pad"]
    dilation = attrs.get("dilation", (1, 1))
    return (
        Window(shape[1], attrs["kernel"][0], attrs["stride"][0], top, bottom, dilation[0]),
        Window(shape[2], attrs["kernel"][1], attrs["stride"][1], left, right, dilation[1]),
    )


def resolve_pad(attrs: Attrs, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """``pad`` as (top, bottom, left, right).

    ``same`` pads so that the output has ``ceil(n / stride)`` positions; an odd rest goes behind (``same_upper``,
    the same as ``same``) or before (``same_lower``) the image.
    """
    pad = attrs["pad"]
    if pad not in SAME_WORDS:
        top, bottom, left, right = pad
        return top, bottom, left, right
    pairs = []
    for axis, length in enumerate(shape[1:3]):
        window = Window(length, attrs["kernel"][axis], attrs["stride"][axis], 0, 0, attrs.get("dilation", (1, 1))[axis])
        total = max(0, (-(-length // window.stride) - 1) * window.stride + window.extent - length)
        pairs.append(split_pad(total, pad))
    return (*pairs[0], *pairs[1])


def split_pad(total: int, word: str) -> tuple[int, int]:
    """(before, after) of a padding named by word."""
    less, more = total // 2, total - total // 2
    return (more, less) if word == "same_lower" else (less, more)


def receptive(windows: Sequence[Window]) -> ReceptiveRule:
    """Which positions each output reads."""
    rows, cols = (AxisMap.window(w.kernel, w.stride, w.before, w.dilation) for w in windows)
    return rows, cols


# -- checks ------------------------------------------------------------------------------------


def require_map(op: str, inputs: Sequence[TensorType], operand: int = 0) -> None:
    """Raise ShapeError unless the operand is a batched ``[C, H, W]`` of numbers."""
    flat = len(inputs[operand].shape) == 1
    help = f"put the `{op}` before the `flatten`" if flat else None
    require_axes(op, inputs[operand], operand, "[C, H, W]", help=help)


def require_fit(op: str, windows: Sequence[Window]) -> None:
    """Raise ShapeError for a window that is larger than its padded input."""
    for axis, window in zip(AXIS_NAMES, windows, strict=True):
        if window.slack >= 0:
            continue
        padded = window.length + window.before + window.after
        notes = [f"{axis}: {window.length} + {window.before} + {window.after} = {padded} < {window.extent}"]
        if window.dilation > 1:
            notes.append(f"the window spans {window.dilation}*({window.kernel} - 1) + 1 = {window.extent} positions")
        raise ShapeError(
            Code.KERNEL_TOO_LARGE,
            f"the window of `{op}` is larger than its padded input",
            label=f"{axis} {window.extent} > {padded}",
            notes=notes,
        )


def require_exact(op: str, windows: Sequence[Window]) -> None:
    """Raise ShapeError where ``round=exact`` meets a remainder."""
    for axis, window in zip(AXIS_NAMES, windows, strict=True):
        if window.slack % window.stride:
            raise ShapeError(
                Code.INEXACT_SIZE,
                f"the {axis} of `{op}` is not a whole number",
                label="`round=exact` allows no remainder",
                notes=[f"{axis}: {window.arithmetic}"],
            )


def dropped_warnings(op: str, windows: Sequence[Window], outputs: Sequence[int], help: str) -> list[OpWarning]:
    """A warning where rounding drops real pixels, not only padding."""
    lines, notes = [], []
    for axis, line, window, count in zip(AXIS_NAMES, ("row", "column"), windows, outputs, strict=True):
        dropped = window.dropped(count)
        if dropped:
            lines.append(line if dropped == 1 else f"{dropped} {line}s")
            notes.append(f"{axis}: {window.arithmetic}")
    if not lines:
        return []
    title = f"`{op}` never sees the last {' and '.join(lines)} of its input"
    return [OpWarning(Code.DROPPED_PIXELS, title, notes=tuple(notes), help=help)]


def result_type(op: str, shape: Sequence[int], batched: bool = True) -> TensorType:
    """The type of a result. Raises ShapeError when it has more than MAX_ELEMENTS elements or an axis without any."""
    type = TensorType(tuple(shape), batched)
    if any(size < 1 for size in shape):
        raise ShapeError(Code.SHAPE_MISMATCH, f"`{op}` would leave nothing", label=f"the result would be {type}")
    if type.elements > MAX_ELEMENTS:
        raise ShapeError(
            Code.LIMIT_SIZE,
            f"the result of `{op}` is too large",
            label=f"{type} has {type.elements:,} elements",
            notes=[f"a tensor may have at most {MAX_ELEMENTS:,} elements a sample"],
        )
    return type


def decimal(value: Fraction) -> str:
    """At most two digits behind the point, as few as say the same."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".")
