"""Losses that are the mean of one scalar expression over all elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.scalar import Const, Expr, Unary, Var, differentiate, exp, log, maximum, sigmoid
from netdsl.ir.types import TensorType
from netdsl.ops.base import Array, Attrs, Call, Cost, OpDef, ShapeError, register
from netdsl.ops.loss import SCALAR, Loss
from netdsl.ops.pointwise import evaluate_aligned, flops_of, mismatch, require_numbers

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

PREDICTION, TARGET = Var(0), Var(1)


class MeanLoss(Loss):
    """Base: a subclass gives the expression of one element over (prediction, target)."""

    operands: ClassVar[tuple[str, ...]] = ("prediction", "target")
    term: ClassVar[Expr]

    def derivative(self, operand: int) -> Expr:
        """Of one element's term; a subclass may know a better conditioned one."""
        return differentiate(self.term, operand)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        prediction, target = inputs
        for operand, type in enumerate(inputs):
            require_numbers(self.name, type, operand)
        if len(prediction.shape) != len(target.shape):
            title = f"`{self.name}` needs equal shapes"
            raise ShapeError(Code.SHAPE_MISMATCH, title, label="the numbers of axes differ")
        if prediction.shape != target.shape:
            differing = [a != b for a, b in zip(prediction.shape, target.shape, strict=True)]
            raise mismatch(self.name, inputs, f"`{self.name}` needs equal shapes", differing)
        if prediction.batched != target.batched:
            raise ShapeError(Code.SHAPE_MISMATCH, f"`{self.name}` needs a target for each sample")
        return (SCALAR,)

    def cost(self, call: Call) -> Cost:
        # Each term and its addition; the division by their number is one for a whole batch.
        return Cost(flops=flops_of(self.term, call.inputs) + call.inputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        terms = evaluate_aligned(self.term, arrays, call.inputs, call.inputs[0])
        return [np.asarray(terms.mean(), dtype=arrays[0].dtype)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None, None]
        g = grads[0]
        return [
            builder.op("mean_grad", [g, *node.inputs], {"expr": self.derivative(operand)}).output
            for operand in range(2)
        ]


@register
class Mse(MeanLoss):
    """Mean over samples and elements of ``(prediction - target)^2``; equal shapes."""

    name: ClassVar[str] = "mse"
    term: ClassVar[Expr] = (PREDICTION - TARGET) * (PREDICTION - TARGET)

    def derivative(self, operand: int) -> Expr:
        difference = PREDICTION - TARGET if operand == 0 else TARGET - PREDICTION
        return 2.0 * difference


@register
class Bce(MeanLoss):
    """Binary cross-entropy of probabilities: mean of ``-(t log p + (1 - t) log(1 - p))``; equal shapes.

    Logarithms are bounded below by -100, and in the gradient ``p (1 - p)`` by 1e-12, so that p = 0 and p = 1 stay
    finite.
    """

    name: ClassVar[str] = "bce"
    term: ClassVar[Expr] = -(
        TARGET * maximum(log(PREDICTION), -100.0) + (1.0 - TARGET) * maximum(log(1.0 - PREDICTION), -100.0)
    )

    def derivative(self, operand: int) -> Expr:
        if operand == 1:
            return differentiate(self.term, 1)
        return (PREDICTION - TARGET) / maximum((1.0 - PREDICTION) * PREDICTION, 1e-12)


@register
class BceLogits(MeanLoss):
    """Binary cross-entropy of ``sigmoid(x)``: mean of ``max(x, 0) - x t + log(1 + exp(-|x|))``; equal shapes."""

    name: ClassVar[str] = "bce_logits"
    term: ClassVar[Expr] = (
        maximum(PREDICTION, 0.0) - PREDICTION * TARGET + log(Const(1.0) + exp(-Unary("abs", PREDICTION)))
    )

    def derivative(self, operand: int) -> Expr:
        return sigmoid(PREDICTION) - TARGET if operand == 0 else -PREDICTION


@register
class Likelihood(MeanLoss):
    """Mean over samples and elements of ``-target * prediction``; equal shapes.

    Of logarithms of probabilities and shares of classes it is their cross-entropy divided by the number of classes.
    """

    name: ClassVar[str] = "likelihood"
    internal: ClassVar[bool] = True
    term: ClassVar[Expr] = -(PREDICTION * TARGET)


@register
class MeanGrad(OpDef):
    """Gradient of a mean of terms: (g, a, b) -> ``g * expr(a, b) / count``, over all elements of all samples.

    ``attrs["expr"]`` is the derivative of one term, with a as x0 and b as x1; the result has a's type.
    """

    name: ClassVar[str] = "mean_grad"
    operands: ClassVar[tuple[str, ...]] = ("g", "a", "b")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, a, b = inputs
        assert g == SCALAR and a == b, inputs
        return (a,)

    def cost(self, call: Call) -> Cost:
        return Cost(flops=flops_of(call.attrs["expr"], call.inputs[1:]) + call.outputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, *operands = arrays
        terms = evaluate_aligned(call.attrs["expr"], operands, call.inputs[1:], call.inputs[1])
        return [terms * (g / terms.dtype.type(terms.size))]
