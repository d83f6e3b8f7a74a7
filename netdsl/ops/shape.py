"""Ops that only say where elements are: flatten, reshape, concat, slice, identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.types import TensorType
from netdsl.ops.base import (
    POINTWISE,
    Arg,
    Array,
    Attrs,
    Call,
    Cost,
    Kind,
    OpDef,
    ReceptiveRule,
    ShapeError,
    Traffic,
    register,
)
from netdsl.ops.window import AXIS_NAMES, MAX_AXES, result_type

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

VIEWS = frozenset({"concat", "slice", "flatten", "reshape"})
"""Ops whose result may be their operands' memory without overwriting it."""


class Arranging(OpDef):
    """Base of ops that compute nothing: they only move numbers, or not even that."""

    def cost(self, call: Call) -> Cost:
        return Cost()


class Renaming(Arranging):
    """Base of ops whose result is their operand's memory under another type."""

    def traffic(self, call: Call) -> Traffic:
        return Traffic((0,), (0,))


def part_traffic(call: Call) -> Traffic:
    """Of ops whose result is a part of their operand: what is left out is not read."""
    return Traffic((call.outputs[0].elements,), (call.outputs[0].elements,))


@register
class Identity(Renaming):
    """``y = x``, any shape: gives a value a layer name, or an ``if`` an empty branch."""

    name: ClassVar[str] = "identity"

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (inputs[0],)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [arrays[0]]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        return [grads[0]]


class _Reshaping(Renaming):
    """Base of ops whose result has the same elements in the same order."""

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return POINTWISE if call.inputs[0].shape == call.outputs[0].shape else None

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x = arrays[0]
        lead = x.shape[:1] if call.inputs[0].batched else ()
        return [x.reshape(*lead, *call.outputs[0].shape)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        return [builder.op("reshape", [grads[0]], {"shape": node.inputs[0].type.shape}).output]


@register
class Flatten(_Reshaping):
    """``[C, H, W]`` to ``[C*H*W]``, channels outermost, then rows; the batch stays."""

    name: ClassVar[str] = "flatten"

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType((inputs[0].elements,), inputs[0].batched, inputs[0].dtype),)


@register
class Reshape(_Reshaping):
    """The same elements in the same order under another shape; one size may be -1: what is left for it."""

    name: ClassVar[str] = "reshape"
    args: ClassVar[tuple[Arg, ...]] = (Arg("shape", Kind.SHAPE, minimum=-1, doc="sizes without the batch"),)

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        shape, elements = tuple(attrs["shape"]), inputs[0].elements
        if len(shape) > MAX_AXES:
            raise ShapeError(Code.LIMIT_SIZE, f"a tensor may have at most {MAX_AXES} axes, these are {len(shape)}")
        known = math.prod(size for size in shape if size != -1)
        if shape.count(-1) > 1 or 0 in shape:
            raise ShapeError(Code.BAD_VALUE, "`reshape` needs sizes of at least 1, at most one of them -1")
        if shape.count(-1) == 1 and elements % known == 0:
            shape = tuple(elements // known if size == -1 else size for size in shape)
        if math.prod(shape) != elements:
            raise ShapeError(
                Code.SHAPE_MISMATCH,
                "`reshape` keeps the number of elements",
                label=f"{elements} elements do not fit {list(shape)}",
                notes=[f"{' * '.join(map(str, inputs[0].shape))} = {elements}"],
            )
        return {**attrs, "shape": shape}

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (TensorType(tuple(attrs["shape"]), inputs[0].batched, inputs[0].dtype),)


@register
class Concat(Arranging):
    """Values one after the other along the channel axis; all other axes are equal."""

    name: ClassVar[str] = "concat"
    variadic: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        first = inputs[0]
        for operand, other in enumerate(inputs):
            if not other.shape:
                raise ShapeError(Code.BAD_RANK, "`concat` joins channels", operand_notes={operand: "a single number"})
            if len(other.shape) != len(first.shape):
                raise _mismatch(operand, "the numbers of axes differ", f"{len(other.shape)} axes")
            differing = _differing(first.shape, other.shape)
            if differing:
                raise _mismatch(operand, ", ".join(differing), ", ".join(differing))
            if other.batched != first.batched or other.dtype != first.dtype:
                raise _mismatch(operand, "constants and activations don't mix", "of another kind")
        channels = sum(type.shape[0] for type in inputs)
        result_type(self.name, (channels, *first.shape[1:]))
        return (TensorType((channels, *first.shape[1:]), first.batched, first.dtype),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [np.concatenate(arrays, axis=1 if call.inputs[0].batched else 0)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None] * len(node.inputs)
        parts: list[Value | None] = []
        start = 0
        for value in node.inputs:
            stop = start + value.type.shape[0]
            parts.append(builder.op("slice", [g], {"start": start, "stop": stop}).output)
            start = stop
        return parts


def _differing(first: tuple[int, ...], other: tuple[int, ...]) -> list[str]:
    """``height 28 ≠ 27`` for each axis behind the channels that differs."""
    found = []
    for axis in range(1, len(first)):
        if first[axis] != other[axis]:
            name = AXIS_NAMES[axis - 1] if axis <= len(AXIS_NAMES) else f"axis {axis}"
            found.append(f"{name} {first[axis]} ≠ {other[axis]}")
    return found


def _mismatch(operand: int, label: str, note: str) -> ShapeError:
    return ShapeError(
        Code.SHAPE_MISMATCH,
        f"`concat` needs equal sizes behind the channels; operand {operand + 1} differs from the first",
        label=label,
        operand_notes={operand: note},
        help="`crop(x, like = y)` and `pad(x, like = y)` bring a map to another's size" if "≠" in label else None,
    )


@register
class Slice(Arranging):
    """Channels ``start`` to ``stop`` (not included), counted from 0; of ``[F]`` the features."""

    name: ClassVar[str] = "slice"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("start", Kind.INT, minimum=0, doc="first channel"),
        Arg("stop", Kind.INT, minimum=1, doc="the channel behind the last"),
    )

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, start, stop = inputs[0], attrs["start"], attrs["stop"]
        if not x.shape:
            raise ShapeError(Code.BAD_RANK, "`slice` takes channels", label="a single number has none")
        if not start < stop <= x.shape[0]:
            raise ShapeError(
                Code.SHAPE_MISMATCH,
                f"there are no channels {start} to {stop} (not included)",
                label=f"{x.shape[0]} channels, from 0",
            )
        return (TensorType((stop - start, *x.shape[1:]), x.batched, x.dtype),)

    def traffic(self, call: Call) -> Traffic:
        return part_traffic(call)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        part = slice(call.attrs["start"], call.attrs["stop"])
        return [arrays[0][:, part] if call.inputs[0].batched else arrays[0][part]]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        before, after = node.attrs["start"], node.inputs[0].type.shape[0] - node.attrs["stop"]
        return [builder.op("pad_channels", [grads[0]], {"before": before, "after": after}).output]


@register
class PadChannels(Arranging):
    """``before`` and ``after`` channels of zeros around; the adjoint of ``slice``."""

    name: ClassVar[str] = "pad_channels"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("before", Kind.INT, minimum=0, doc="channels in front"),
        Arg("after", Kind.INT, minimum=0, doc="channels behind"),
    )
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x = inputs[0]
        return (TensorType((x.shape[0] + attrs["before"] + attrs["after"], *x.shape[1:]), x.batched, x.dtype),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x = arrays[0]
        lead = 1 if call.inputs[0].batched else 0
        widths = [(0, 0)] * lead + [(call.attrs["before"], call.attrs["after"])] + [(0, 0)] * (x.ndim - lead - 1)
        return [np.pad(x, widths)]
