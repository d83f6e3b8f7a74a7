"""Reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, StepOp, register


@register
class SumTo(StepOp):
    """Sum of everything that broadcasting ``shape`` to the operand's shape would repeat; its adjoint.

    An axis of the operand stays where ``shape`` has it, and is summed where ``shape`` has 1 or nothing. The batch is
    summed too unless ``batched``.
    """

    name: ClassVar[str] = "sum_to"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("shape", Kind.SHAPE, doc="shape of the result"),
        Arg("batched", Kind.BOOL, doc="whether samples stay apart"),
    )

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shape = tuple(attrs["shape"])
        x = inputs[0]
        assert len(shape) <= len(x.shape) and x.batched >= attrs["batched"], (attrs, inputs)
        assert all(size in (1, x.shape[axis]) for axis, size in enumerate(shape)), (attrs, inputs)
        return (TensorType(shape, bool(attrs["batched"])),)

    def cost(self, call: Call) -> Cost:
        # Additions: where samples stay apart, the first of each sum is none.
        (x,), result = call.inputs, call.outputs[0]
        return Cost(flops=x.elements - (result.elements if result.batched == x.batched else 0))

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, (source,), target = arrays[0], call.inputs, call.outputs[0]
        lead = 1 if source.batched else 0
        axes = [lead + axis for axis in range(len(source.shape)) if target.shape[axis : axis + 1] in ((), (1,))]
        summed = x.sum(axis=tuple([0, *axes] if lead and not target.batched else axes))
        shape = (x.shape[0], *target.shape) if target.batched else target.shape
        return [summed.reshape(shape)]


@register
class SquareSum(StepOp):
    """Sum of the squares of all numbers of an unbatched tensor: what the norm of gradients is made of."""

    name: ClassVar[str] = "square_sum"
    flat: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        assert not inputs[0].batched, inputs
        return (TensorType((), False),)

    def cost(self, call: Call) -> Cost:
        return Cost(flops=2 * call.inputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        flat = arrays[0].reshape(-1)
        return [np.asarray(flat @ flat)]
