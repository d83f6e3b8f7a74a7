"""Ops that cut and border maps."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, AxisMap, Call, Kind, ReceptiveRule, ShapeError, Traffic, register
from netdsl.ops.conv_math import pad_map
from netdsl.ops.shape import Arranging, part_traffic
from netdsl.ops.window import AXIS_NAMES, require_map, result_type

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

Amounts = tuple[int, int, int, int]


class _Border(Arranging):
    """Base of ``crop`` and ``pad``: amounts given as numbers, or by a tensor whose height and width are wanted."""

    shape_operands: ClassVar[tuple[str, ...]] = ("like",)
    sign: ClassVar[int]
    """How amounts change sizes: -1 or 1."""

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        require_map(self.name, inputs)
        if len(inputs) == 2 and attrs["by"] is not None:
            raise ShapeError(Code.BAD_VALUE, f"`{self.name}` takes either numbers or `like`, not both")
        if len(inputs) == 2:
            return {**attrs, "by": self._towards(inputs)}
        if attrs["by"] is None:
            help = f"write `{self.name}(1)`, `{self.name}((top, bottom, left, right))` or `{self.name}(like = y)`"
            raise ShapeError(Code.MISSING_ARGUMENT, f"`{self.name}` needs to know by how much", help=help)
        return dict(attrs)

    def _towards(self, inputs: Sequence[TensorType]) -> Amounts:
        """Amounts that bring the first operand to the height and width of the second, centred."""
        require_map(self.name, inputs, 1)
        amounts: list[int] = []
        for axis, name in enumerate(AXIS_NAMES, 1):
            size, wanted = inputs[0].shape[axis], inputs[1].shape[axis]
            total = self.sign * (wanted - size)
            if total < 0:
                raise ShapeError(
                    Code.SHAPE_MISMATCH,
                    f"`{self.name}` cannot make a map {'larger' if self.sign < 0 else 'smaller'}",
                    label=f"{name} {size} → {wanted}",
                    operand_notes={1: "its size is wanted"},
                    help=f"`{'pad' if self.sign < 0 else 'crop'}(x, like = y)` does the opposite",
                )
            amounts += [total // 2, total - total // 2]
        return amounts[0], amounts[1], amounts[2], amounts[3]

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        require_map(self.name, inputs)
        (channels, height, width), (top, bottom, left, right) = inputs[0].shape, attrs["by"]
        size = (height + self.sign * (top + bottom), width + self.sign * (left + right))
        return (result_type(self.name, (channels, *size)),)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        top, _, left, _ = call.attrs["by"]
        rows, cols = (
            AxisMap(Fraction(1), Fraction(-self.sign * before), Fraction(-self.sign * before)) for before in (top, left)
        )
        return rows, cols


@register
class Crop(_Border):
    """Cut rows and columns off ``[C, H, W]``.

    ``crop(x, 2)``, ``crop(x, (vertical, horizontal))``, ``crop(x, (top, bottom, left, right))``, or
    ``crop(x, like = y)``: to the height and width of y, centred; an odd one more at the bottom and right.
    """

    name: ClassVar[str] = "crop"
    args: ClassVar[tuple[Arg, ...]] = (Arg("by", Kind.PAD, None, minimum=0, doc="rows and columns to cut off"),)
    sign: ClassVar[int] = -1

    def traffic(self, call: Call) -> Traffic:
        return part_traffic(call)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        (_, height, width), (top, bottom, left, right) = call.inputs[0].shape, call.attrs["by"]
        return [arrays[0][:, :, top : height - bottom, left : width - right]]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None if grads[0] is None else builder.op("pad", [grads[0]], node.attrs).output]


@register
class Pad(_Border):
    """Put rows and columns of zeros around ``[C, H, W]``; amounts as for ``crop``, ``like`` included."""

    name: ClassVar[str] = "pad"
    args: ClassVar[tuple[Arg, ...]] = (Arg("by", Kind.PAD, None, minimum=0, doc="rows and columns to add"),)
    sign: ClassVar[int] = 1

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [np.array(pad_map(arrays[0], call.attrs["by"]))]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None if grads[0] is None else builder.op("crop", [grads[0]], node.attrs).output]
