"""Softmax over channels, and its logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.ops.base import Array, Attrs, Call, Cost, OpDef, register
from netdsl.ops.pointwise import require_channels

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value


class _OverChannels(OpDef):
    """Operands and result of one type, with a channel axis."""

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        require_channels(self.name, inputs[0])
        assert all(type == inputs[0] for type in inputs), inputs
        return (inputs[0],)

    def cost(self, call: Call) -> Cost:
        # An element: maximum, difference from it, exp, sum, and the division by the sum or difference from its log.
        return Cost(flops=5 * call.outputs[0].elements)

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        return [builder.op(f"{self.name}_grad", [grads[0], node.output]).output]


@register
class Softmax(_OverChannels):
    """``y[c] = exp(x[c] - max x) / sum of exp(x[j] - max x)`` over the channels, at each position."""

    name: ClassVar[str] = "softmax"

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [np.exp(log_softmax(arrays[0], channel_axis(call)))]


@register
class LogSoftmax(_OverChannels):
    """``y[c] = x[c] - max x - log(sum of exp(x[j] - max x))`` over the channels, at each position."""

    name: ClassVar[str] = "log_softmax"

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [log_softmax(arrays[0], channel_axis(call))]


class _Grad(_OverChannels):
    operands: ClassVar[tuple[str, ...]] = ("g", "y")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def cost(self, call: Call) -> Cost:
        # An element: a sum, and three operations around it.
        return Cost(flops=4 * call.outputs[0].elements)


@register
class SoftmaxGrad(_Grad):
    """(g, y) -> dx of ``y = softmax(x)``: ``dx = y * (g - sum of g*y)``, sums over channels."""

    name: ClassVar[str] = "softmax_grad"

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, y = arrays
        return [y * (g - (g * y).sum(axis=channel_axis(call), keepdims=True))]


@register
class LogSoftmaxGrad(_Grad):
    """(g, y) -> dx of ``y = log_softmax(x)``: ``dx = g - exp(y) * sum of g``, sums over channels."""

    name: ClassVar[str] = "log_softmax_grad"

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, y = arrays
        return [g - np.exp(y) * g.sum(axis=channel_axis(call), keepdims=True)]


def channel_axis(call: Call) -> int:
    return 1 if call.inputs[0].batched else 0


def log_softmax(x: Array, axis: int) -> Array:
    """Stable: the largest element is taken away first."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))
