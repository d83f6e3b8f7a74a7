"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, OpDef, ParamSpec, ReceptiveRule, register
from netdsl.ops.conv import BIAS, INIT, bias_gradient, weight_and_bias
from netdsl.ops.pointwise import require_axes
from netdsl.ops.window import result_type

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value


class _Matrix(OpDef):
    """Base of products with a weight (O, I)."""

    def cost(self, call: Call) -> Cost:
        activation, other = call.inputs[:2]
        macs = activation.elements * (call.outputs[0].elements if call.outputs[0].batched else other.elements)
        return Cost(macs, 2 * macs + (call.outputs[0].elements if len(call.inputs) > 2 else 0))

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return None


@register
class Fc(_Matrix):
    """Fully connected layer on ``[F]``: ``y = W x + b``, a result of ``[features]``.

    Parameters: ``weight`` (features, F) and ``bias`` (features,). A map ``[C, H, W]`` is an error: ``flatten`` it.
    """

    name: ClassVar[str] = "fc"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("features", Kind.INT, minimum=1, doc="size of the result"),
        BIAS,
        INIT,
    )

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        require_vector(self.name, inputs[0])
        features, length = attrs["features"], inputs[0].shape[0]
        return weight_and_bias(attrs, (features, length), features, length, features)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        require_vector(self.name, inputs[0])
        return (result_type(self.name, (attrs["features"],)),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, weight, *bias = arrays
        y = x @ weight.T
        return [y + bias[0] if bias else y]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None] * len(node.inputs)
        x, weight, *bias = node.inputs
        grad_x = builder.op("fc_grad_input", [g, weight]).output
        grad_w = builder.op("fc_grad_weight", [g, x]).output
        return [grad_x, grad_w, *(bias_gradient(builder, g, value) for value in bias)]


@register
class FcGradInput(_Matrix):
    """Gradient of ``fc`` to its input: (g [O], weight (O, I)) -> ``W^T g`` [I]."""

    name: ClassVar[str] = "fc_grad_input"
    operands: ClassVar[tuple[str, ...]] = ("g", "weight")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, weight = inputs
        assert g.shape == weight.shape[:1], inputs
        return (TensorType(weight.shape[1:]),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, weight = arrays
        return [g @ weight]


@register
class FcGradWeight(_Matrix):
    """Gradient of ``fc`` to its weight: (g [O], x [I]) -> ``sum over samples of g x^T`` (O, I), unbatched."""

    name: ClassVar[str] = "fc_grad_weight"
    operands: ClassVar[tuple[str, ...]] = ("g", "x")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, x = inputs
        return (TensorType((*g.shape, *x.shape), False),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, x = arrays
        return [g.T @ x]


def require_vector(op: str, type: TensorType) -> None:
    """Raise ShapeError unless the operand is a batched ``[F]``."""
    require_axes(op, type, 0, "[F]", help=f"write `-> flatten -> {op}(...)`" if type.shape else None)
