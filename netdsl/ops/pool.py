"""Maximum and average pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.types import TensorType
from netdsl.ops import conv_math, window
from netdsl.ops.base import (
    Arg,
    Array,
    Attrs,
    AxisMap,
    Call,
    Cost,
    Kind,
    OpDef,
    OpWarning,
    ReceptiveRule,
    ShapeError,
    register,
)
from netdsl.ops.window import Window

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

WINDOW = Arg("kernel", Kind.SIZE, None, ("global",), minimum=1, doc="size of the window, or all of the map")
STRIDE = Arg("stride", Kind.SIZE, None, minimum=1, doc="step of the window; the window's own size unless given")
PAD = Arg("pad", Kind.PAD, (0, 0, 0, 0), window.SAME_WORDS, minimum=0, doc="padding around the input")
ROUND = Arg(
    "round", Kind.WORD, "floor", ("floor", "ceil", "ceil_caffe", "exact"),
    doc="what happens to a remainder of the output size",
)  # fmt: skip
COUNT_PAD = Arg("count_include_pad", Kind.BOOL, True, doc="whether zeros of the padding count in the mean")
TO = Arg("to", Kind.SIZE, None, minimum=1, maximum=4096, doc="size of the result; the windows follow from it")


class Pool(OpDef):
    """Base of ``maxpool`` and ``avgpool``: their windows."""

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        window.require_map(self.name, inputs)
        shape = inputs[0].shape
        if attrs["kernel"] is None:
            raise ShapeError(
                Code.MISSING_ARGUMENT,
                f"`{self.name}` needs a window",
                help=f"write `{self.name}(2)`, `{self.name}(3x3, stride=2)` or `{self.name}(global)`",
            )
        if attrs["kernel"] == "global":
            return {**attrs, **self._global(attrs, shape)}
        stride = attrs["kernel"] if attrs["stride"] is None else attrs["stride"]
        resolved = {**attrs, "stride": stride}
        return {**resolved, "pad": window.resolve_pad(resolved, shape)}

    def _global(self, attrs: Attrs, shape: tuple[int, ...]) -> dict[str, Any]:
        if attrs["stride"] is not None or attrs["pad"] != (0, 0, 0, 0):
            raise ShapeError(Code.BAD_VALUE, f"`{self.name}(global)` has one window: no stride, no padding")
        return {"kernel": shape[1:], "stride": (1, 1)}

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        window.require_map(self.name, inputs)
        shape = inputs[0].shape
        windows = window.windows_of(attrs, shape)
        window.require_fit(self.name, windows)
        if attrs["round"] == "exact":
            window.require_exact(self.name, windows)
        sizes = [w.outputs(attrs["round"]) for w in windows]
        for axis, w, size in zip(window.AXIS_NAMES, windows, sizes, strict=True):
            self._require_pixels(axis, w, size)
        return (window.result_type(self.name, (shape[0], *sizes)),)

    def _require_pixels(self, axis: str, w: Window, size: int) -> None:
        """Every window must hold a real pixel: the maximum and mean of none are not numbers."""
        last = (size - 1) * w.stride - w.before
        if w.before < w.extent and last < w.length:
            return
        where = (
            f"the first starts at {-w.before} and ends before 0"
            if w.before >= w.extent
            else (f"the last starts at {last}, the {axis} is {w.length}")
        )
        raise ShapeError(
            Code.KERNEL_TOO_LARGE,
            f"a window of `{self.name}` would hold no pixel",
            label="it would lie in the padding or beyond",
            notes=[f"{axis}: {where}"],
        )

    def warnings(self, call: Call) -> list[OpWarning]:
        windows = window.windows_of(call.attrs, call.inputs[0].shape)
        help = "`round=ceil` adds a last, smaller window"
        return window.dropped_warnings(self.name, windows, call.outputs[0].shape[1:], help)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return window.receptive(window.windows_of(call.attrs, call.inputs[0].shape))


@register
class Maxpool(Pool):
    """Maximum over each window of ``[C, H, W]``; padding is never chosen, NaN always is.

    ``kernel`` is a size or ``global``; ``stride`` is the kernel unless given. Output size along each axis:
    ``(n + p0 + p1 - k) / stride + 1``, rounded by ``round``: ``floor``; ``ceil``, where the last window must start
    inside the image or its leading padding; ``ceil_caffe``, Caffe's rule: the same, but without padding the last
    window is not given up (an error where it would hold no pixel: stride > kernel); ``exact``: a remainder is
    an error. A window that reaches beyond the padded image ends there.
    """

    name: ClassVar[str] = "maxpool"
    args: ClassVar[tuple[Arg, ...]] = (WINDOW, STRIDE, PAD, ROUND)

    def cost(self, call: Call) -> Cost:
        # Comparisons; as of a convolution, positions of a window beyond the image count.
        height, width = call.attrs["kernel"]
        return Cost(flops=(height * width - 1) * call.outputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [patches(arrays[0], call.attrs, call.outputs[0], -np.inf).max(axis=(4, 5))]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        return [builder.op("maxpool_grad", [node.inputs[0], node.output, grads[0]], node.attrs).output]


@register
class Avgpool(Pool):
    """Mean over each window of ``[C, H, W]``.

    Windows and ``round`` as for ``maxpool``. The divisor is the number of positions of the window inside the padded
    image; with ``count_include_pad=no`` inside the image. ``avgpool(to=6x6)`` divides each axis into the given
    number of windows instead: window i of n positions covers ``floor(i*n/out)`` to ``ceil((i+1)*n/out)`` (PyTorch's
    adaptive rule); where out divides n that is an ordinary pool of n/out.
    """

    name: ClassVar[str] = "avgpool"
    args: ClassVar[tuple[Arg, ...]] = (WINDOW, STRIDE, PAD, ROUND, COUNT_PAD, TO)

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        if attrs["to"] is None:
            return super().resolve(attrs, inputs)
        window.require_map(self.name, inputs)
        if attrs["kernel"] is not None or attrs["stride"] is not None or attrs["pad"] != (0, 0, 0, 0):
            raise ShapeError(Code.BAD_VALUE, "`avgpool(to=...)` chooses its windows: no kernel, stride or pad")
        sizes = list(zip(inputs[0].shape[1:], attrs["to"], strict=True))
        if any(length % out for length, out in sizes):
            return dict(attrs)
        kernel = tuple(length // out for length, out in sizes)
        return {**attrs, "kernel": kernel, "stride": kernel, "to": None}

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        if attrs["to"] is None:
            return super().infer(attrs, inputs)
        window.require_map(self.name, inputs)
        return (window.result_type(self.name, (inputs[0].shape[0], *attrs["to"])),)

    def warnings(self, call: Call) -> list[OpWarning]:
        return super().warnings(call) if call.attrs["to"] is None else []

    def cost(self, call: Call) -> Cost:
        # A window: one addition less than its positions, and the division.
        channels, *sizes = call.inputs[0].shape
        if call.attrs["to"] is not None:
            return Cost(flops=channels * adaptive_positions(sizes, call.attrs["to"]))
        height, width = call.attrs["kernel"]
        return Cost(flops=height * width * call.outputs[0].elements)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        if call.attrs["to"] is None:
            return super().receptive(call, operand)
        rows, cols = (
            _adaptive_map(length, out) for length, out in zip(call.inputs[0].shape[1:], call.attrs["to"], strict=True)
        )
        return rows, cols

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, attrs, result = arrays[0], call.attrs, call.outputs[0]
        if attrs["to"] is not None:
            rows, cols = (adaptive_matrix(n, out, x.dtype) for n, out in zip(x.shape[2:], attrs["to"], strict=True))
            return [rows @ x @ cols.T]
        sums = patches(x, attrs, result, 0.0).sum(axis=(4, 5))
        return [sums / divisors(attrs, call.inputs[0].shape, result, x.dtype)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        attrs = {**node.attrs, "shape": node.inputs[0].type.shape}
        return [builder.op("avgpool_grad", [grads[0]], attrs).output]


# -- windows on arrays -------------------------------------------------------------------------


def patches(x: Array, attrs: Attrs, result: TensorType, outside: float) -> Array:
    """View ``[N, C, OH, OW, kh, kw]`` of the windows; positions beyond the image hold ``outside``."""
    windows = window.windows_of(attrs, x.shape[1:])
    pad: list[int] = []
    for w, size in zip(windows, result.shape[1:], strict=True):
        pad += [w.before, max(0, (size - 1) * w.stride + w.extent - w.before - w.length)]
    padded = conv_math.pad_map(x, (pad[0], pad[1], pad[2], pad[3]), outside)
    views = np.lib.stride_tricks.sliding_window_view(padded, attrs["kernel"], axis=(2, 3))
    rows, cols = (slice(0, (n - 1) * w.stride + 1, w.stride) for w, n in zip(windows, result.shape[1:], strict=True))
    return np.asarray(views[:, :, rows, cols])


def divisors(attrs: Attrs, shape: Sequence[int], result: TensorType, dtype: Any) -> Array:
    """``[OH, OW]``: how many positions each mean is over."""
    rows, cols = (
        np.array(list(counts(w, size, attrs["count_include_pad"])), dtype=dtype)
        for w, size in zip(window.windows_of(attrs, shape), result.shape[1:], strict=True)
    )
    return np.outer(rows, cols)


def counts(w: Window, outputs: int, include_pad: bool) -> Iterator[int]:
    """Positions of each window along an axis that lie inside the (padded) image."""
    low, high = (-w.before, w.length + w.after) if include_pad else (0, w.length)
    for index in range(outputs):
        start = index * w.stride - w.before
        yield min(start + w.kernel, high) - max(start, low)


def adaptive_spans(length: int, out: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each window of ``avgpool(to=...)`` along an axis."""
    return ((index * length // out, -(-(index + 1) * length // out)) for index in range(out))


def adaptive_positions(sizes: Sequence[int], to: Sequence[int]) -> int:
    """Positions of all windows of ``avgpool(to=...)`` together; those of two windows count for each."""
    rows, cols = (
        sum(stop - start for start, stop in adaptive_spans(length, out)) for length, out in zip(sizes, to, strict=True)
    )
    return rows * cols


def adaptive_matrix(length: int, out: int, dtype: Any) -> Array:
    """``[out, length]``: the weight of each position in each mean."""
    matrix = np.zeros((out, length), dtype=dtype)
    for index, (start, stop) in enumerate(adaptive_spans(length, out)):
        matrix[index, start:stop] = 1 / (stop - start)
    return matrix


def _adaptive_map(length: int, out: int) -> AxisMap:
    """The tightest affine bounds of irregular windows."""
    scale = Fraction(length, out)
    spans = list(adaptive_spans(length, out))
    low = min(start - scale * index for index, (start, _) in enumerate(spans))
    high = max(stop - 1 - scale * index for index, (_, stop) in enumerate(spans))
    return AxisMap(scale, low, high)
