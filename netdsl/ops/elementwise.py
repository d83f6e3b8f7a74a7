"""Elementwise ops: each is one scalar expression over its operands (:mod:`netdsl.ops.pointwise`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl.diagnostics import Code
from netdsl.ir.scalar import Const, Expr, Var, maximum, select, sigmoid, tanh
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Attrs, Init, Kind, ParamSpec, ShapeError, register
from netdsl.ops.pointwise import Pointwise, mismatch, require_channels

X = Var(0)


@register
class Relu(Pointwise):
    """Rectifier: ``y = max(x, 0)``, any shape, NaN stays NaN. The gradient passes where y > 0.

    Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.
    """

    name: ClassVar[str] = "relu"

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return maximum(X, 0.0)

    def derivative(self, expr: Expr, operand: int, output: Expr) -> Expr:
        return select("gt", output, 0.0, 1.0, 0.0)


@register
class LeakyRelu(Pointwise):
    """``y = x`` where x > 0, ``slope * x`` elsewhere; any shape.

    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
    """

    name: ClassVar[str] = "leaky_relu"
    args: ClassVar[tuple[Arg, ...]] = (Arg("slope", Kind.FLOAT, 0.01, doc="factor of negative values"),)

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return select("gt", X, 0.0, X, Const(float(attrs["slope"])) * X)


@register
class Prelu(Pointwise):
    """``y = x`` where x > 0, ``weight * x`` elsewhere, with one learned weight a channel (not decayed).

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    name: ClassVar[str] = "prelu"
    args: ClassVar[tuple[Arg, ...]] = (Arg("init", Kind.FLOAT, 0.25, doc="every weight's first value"),)

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        require_channels(self.name, inputs[0])
        return [ParamSpec("weight", inputs[0].shape[:1], Init("constant", float(attrs["init"])), decay=False)]

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return select("gt", X, 0.0, X, Var(1) * X)


@register
class Scale(Pointwise):
    """``y = weight * x + bias`` with a learned coefficient and bias a channel.

    Behind ``avgpool(2)`` it is the trainable subsampling of LeCun et al., Proc. IEEE 1998, section II.B, whose sum of
    four units with a coefficient is their mean with four times that.
    """

    name: ClassVar[str] = "scale"

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        require_channels(self.name, inputs[0])
        shape = inputs[0].shape[:1]
        return [ParamSpec("weight", shape, Init("ones")), ParamSpec("bias", shape, Init("zeros"))]

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return Var(1) * X + Var(2)


@register
class Sigmoid(Pointwise):
    """Logistic function: ``y = 1 / (1 + exp(-x))``, any shape."""

    name: ClassVar[str] = "sigmoid"

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return sigmoid(X)


@register
class Tanh(Pointwise):
    """Hyperbolic tangent, any shape."""

    name: ClassVar[str] = "tanh"

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return tanh(X)


@register
class Add(Pointwise):
    """Sum of any number of values of one shape."""

    name: ClassVar[str] = "add"
    variadic: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        shapes = {type.shape for type in inputs}
        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(Code.SHAPE_MISMATCH, "`add` needs equal shapes", label="the numbers of axes differ")
        if len(shapes) > 1:
            differing = [len(set(sizes)) > 1 for sizes in zip(*shapes, strict=True)]
            raise mismatch(self.name, inputs, "`add` needs equal shapes", differing)
        return super().infer(attrs, inputs)

    def expr(self, attrs: Attrs, count: int) -> Expr:
        total: Expr = X
        for index in range(1, count):
            total = total + Var(index)
        return total


@register
class Mul(Pointwise):
    """Product of any number of values; an axis of size 1 (or one left away at the end) is repeated.

    So ``mul(x, gate)`` scales each channel of ``[C, H, W]`` by a gate of ``[C]`` or ``[C, 1, 1]``.
    """

    name: ClassVar[str] = "mul"
    variadic: ClassVar[bool] = True

    def expr(self, attrs: Attrs, count: int) -> Expr:
        total: Expr = X
        for index in range(1, count):
            total = total * Var(index)
        return total


@register
class Map(Pointwise):
    """Any scalar expression, ``attrs["expr"]``: what gradients and fused elementwise layers are."""

    name: ClassVar[str] = "map"
    internal: ClassVar[bool] = True
    variadic: ClassVar[bool] = True

    def expr(self, attrs: Attrs, count: int) -> Expr:
        expr: Expr = attrs["expr"]
        return expr
