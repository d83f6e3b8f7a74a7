"""Resampling of maps to another size."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.types import TensorType
from netdsl.ops.base import (
    Arg,
    Array,
    Attrs,
    AxisMap,
    Call,
    Cost,
    Kind,
    OpDef,
    ReceptiveRule,
    ShapeError,
    StepOp,
    register,
)
from netdsl.ops.window import require_map, result_type

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

FACTOR = Arg("factor", Kind.SIZE, None, minimum=1, doc="how many times larger, vertically and horizontally")
SIZE = Arg("size", Kind.SIZE, None, minimum=1, doc="height and width of the result, instead of a factor")
MODE = Arg("mode", Kind.WORD, words=("nearest", "bilinear"), doc="one neighbour, or two along each axis by distance")
COORDS = Arg(
    "coords", Kind.WORD, words=("half_pixel", "align_corners", "asymmetric"),
    doc="where in the input a position of the result lies",
)  # fmt: skip
Tap = tuple[int, int, Fraction]
"""(neighbour, next neighbour, weight of the next) of one position of the result."""


@register
class Upsample(OpDef):
    """Resample ``[C, H, W]`` by ``factor`` or to ``size``.

    Position o of m along an axis of n lies, by ``coords``, at ``(o + 1/2) * n/m - 1/2`` (``half_pixel``),
    ``o * (n - 1)/(m - 1)`` (``align_corners``) or ``o * n/m`` (``asymmetric``) of the input. ``mode=bilinear`` weighs
    the two neighbours along each axis by their distance, the image's edge repeated beyond it. ``mode=nearest`` takes
    the pixel whose cell holds the point: ``floor((o + 1/2) * n/m)`` or ``floor(o * n/m)``. In PyTorch: bilinear
    half_pixel and align_corners are ``align_corners=False`` and ``True``; nearest asymmetric is ``nearest``, nearest
    half_pixel ``nearest-exact``. Nothing is smoothed before sampling, so a smaller result aliases.
    """

    name: ClassVar[str] = "upsample"
    args: ClassVar[tuple[Arg, ...]] = (FACTOR, SIZE, MODE, COORDS)

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        require_map(self.name, inputs)
        if (attrs["factor"] is None) == (attrs["size"] is None):
            raise ShapeError(
                Code.MISSING_ARGUMENT if attrs["size"] is None else Code.BAD_VALUE,
                "`upsample` needs either a factor or a size",
                help="write `upsample(2, ...)` or `upsample(size = 56x56, ...)`",
            )
        if attrs["mode"] == "nearest" and attrs["coords"] == "align_corners":
            raise ShapeError(Code.BAD_VALUE, "`mode=nearest` knows no `coords=align_corners`")
        if attrs["size"] is not None:
            return dict(attrs)
        size = tuple(n * factor for n, factor in zip(inputs[0].shape[1:], attrs["factor"], strict=True))
        return {**attrs, "factor": None, "size": size}

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        require_map(self.name, inputs)
        return (result_type(self.name, (inputs[0].shape[0], *attrs["size"])),)

    def cost(self, call: Call) -> Cost:
        # Three interpolations of a difference, a product and a sum.
        return Cost(flops=9 * call.outputs[0].elements if call.attrs["mode"] == "bilinear" else 0)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        rows, cols = (
            _axis_map(call.attrs, n, m) for n, m in zip(call.inputs[0].shape[1:], call.attrs["size"], strict=True)
        )
        return rows, cols

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        rows, cols = matrices(call.attrs, call.inputs[0].shape, arrays[0].dtype)
        return [rows @ arrays[0] @ cols.T]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        attrs = {**node.attrs, "shape": node.inputs[0].type.shape}
        return [builder.op("upsample_grad", [grads[0]], attrs).output]


@register
class UpsampleGrad(StepOp):
    """Gradient of ``upsample``: g -> dx of ``shape``; each position's share goes back to the pixels it came from."""

    name: ClassVar[str] = "upsample_grad"
    args: ClassVar[tuple[Arg, ...]] = (FACTOR, SIZE, MODE, COORDS, Arg("shape", Kind.SHAPE, doc="the input's shape"))
    operands: ClassVar[tuple[str, ...]] = ("g",)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        assert inputs[0].shape == (attrs["shape"][0], *attrs["size"]), (attrs, inputs)
        return (TensorType(tuple(attrs["shape"])),)

    def cost(self, call: Call) -> Cost:
        # A sum a position; bilinear: four products and sums.
        return Cost(flops=(8 if call.attrs["mode"] == "bilinear" else 1) * call.inputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        rows, cols = matrices(call.attrs, call.attrs["shape"], arrays[0].dtype)
        return [rows.T @ arrays[0] @ cols]


# -- coordinates -------------------------------------------------------------------------------


def position(coords: str, index: int, n: int, m: int) -> Fraction:
    """Where position ``index`` of ``m`` lies among ``n``, exactly."""
    if coords == "half_pixel":
        return Fraction((2 * index + 1) * n, 2 * m) - Fraction(1, 2)
    if coords == "asymmetric":
        return Fraction(index * n, m)
    return Fraction(index * (n - 1), m - 1) if m > 1 else Fraction(0)


def axis_taps(attrs: Attrs, n: int, m: int) -> list[Tap]:
    """The neighbours of each of ``m`` positions along an axis of ``n``; ``nearest`` has weight 0 for the next."""
    return [_tap(attrs, index, n, m) for index in range(m)]


def _tap(attrs: Attrs, index: int, n: int, m: int) -> Tap:
    at = position(attrs["coords"], index, n, m)
    if attrs["mode"] == "nearest":
        cell = at + Fraction(1, 2) if attrs["coords"] == "half_pixel" else at
        pixel = min(cell.numerator // cell.denominator, n - 1)
        return pixel, pixel, Fraction(0)
    at = min(max(at, Fraction(0)), Fraction(n - 1))
    pixel = at.numerator // at.denominator
    return pixel, min(pixel + 1, n - 1), at - pixel


def matrices(attrs: Attrs, shape: Sequence[int], dtype: Any) -> tuple[Array, Array]:
    """``[OH, H]`` and ``[OW, W]``: weights of input positions in each result's."""
    rows, cols = (_matrix(attrs, n, m, dtype) for n, m in zip(shape[1:], attrs["size"], strict=True))
    return rows, cols


def _matrix(attrs: Attrs, n: int, m: int, dtype: Any) -> Array:
    matrix = np.zeros((m, n), dtype=dtype)
    for index, (pixel, following, weight) in enumerate(axis_taps(attrs, n, m)):
        matrix[index, pixel] += float(1 - weight)
        matrix[index, following] += float(weight)
    return matrix


def _axis_map(attrs: Attrs, n: int, m: int) -> AxisMap:
    """Affine bounds of the pixels read; the edge's repetition taken as if the image went on."""
    start = position(attrs["coords"], 0, n, m)
    scale = position(attrs["coords"], 1, n, m) - start if m > 1 else Fraction(0)
    bilinear = attrs["mode"] == "bilinear"
    if attrs["coords"] == "half_pixel" and not bilinear:
        start += Fraction(1, 2)
    # Points lie ``step`` apart (modulo 1), so they are between ``least`` and ``least + 1 - step`` above their pixel.
    step = Fraction(1, scale.denominator)
    least = start % step
    above = 1 - (least or step) if bilinear else -least
    return AxisMap(scale, start - least - 1 + step, start + above)
