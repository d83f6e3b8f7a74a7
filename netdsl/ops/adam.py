"""Adam: steps scaled by moving averages of the gradient and of its square."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Const, Expr, Var, sqrt, tanh
from netdsl.ops.base import Arg, Array, Attrs, Kind, register
from netdsl.ops.optimizer import Optimizer

ADAM_ARGS = (
    Arg("beta1", Kind.FLOAT, 0.9, minimum=0.0, maximum=0.999999, doc="part of the mean gradient that stays"),
    Arg("beta2", Kind.FLOAT, 0.999, minimum=0.0, maximum=0.999999, doc="part of the mean square that stays"),
    Arg("eps", Kind.FLOAT, 1e-8, minimum=1e-15, doc="added to the root of the mean square"),
)


@register
class Adam(Optimizer):
    """Adam: (w, g, mean, square, lr, c1, c2) -> (w', mean', square').

    ``d = g + weight_decay * w``, ``mean' = beta1 * mean + (1 - beta1) * d``,
    ``square' = beta2 * square + (1 - beta2) * d^2``, ``w' = w - lr / c1 * mean' / (sqrt(square' / c2) + eps)``.
    c1 and c2 make up for the averages' start at zeros: ``1 - beta1^t`` and ``1 - beta2^t`` in update t from 1. Kingma,
    Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    name: ClassVar[str] = "adam"
    args: ClassVar[tuple[Arg, ...]] = (
        *ADAM_ARGS,
        Arg("weight_decay", Kind.FLOAT, 0.0, minimum=0.0, doc="added to the gradient, times the weight"),
    )
    operands: ClassVar[tuple[str, ...]] = ("w", "g", "mean", "square", "lr", "c1", "c2")

    def states(self, attrs: Attrs) -> tuple[str, ...]:
        return ("mean", "square")

    def numbers(self, attrs: Attrs) -> Mapping[str, Expr]:
        return {"c1": one_minus_power(float(attrs["beta1"])), "c2": one_minus_power(float(attrs["beta2"]))}

    def formula(self, attrs: Attrs, w: Expr, g: Expr, *others: Expr) -> tuple[Expr, ...]:
        decay = float(attrs["weight_decay"])
        return self._moved(attrs, w, g + decay * w if decay else g, *others)

    def updated(self, attrs: Attrs, w: Array, g: Array, *others: Array) -> tuple[Array, ...]:
        return self._moved_arrays(attrs, w, g + attrs["weight_decay"] * w, *others)

    def _moved(self, attrs: Attrs, w: Expr, d: Expr, *others: Expr) -> tuple[Expr, ...]:
        mean, square, lr, c1, c2 = others
        beta1, beta2 = float(attrs["beta1"]), float(attrs["beta2"])
        mean = mean + (1.0 - beta1) * (d - mean)
        square = beta2 * square + (1.0 - beta2) * (d * d)
        return w - (lr / c1) * mean / (sqrt(square) / sqrt(c2) + float(attrs["eps"])), mean, square

    def _moved_arrays(self, attrs: Attrs, w: Array, d: Array, *others: Array) -> tuple[Array, ...]:
        mean, square, lr, c1, c2 = others
        mean = attrs["beta1"] * mean + (1 - attrs["beta1"]) * d
        square = attrs["beta2"] * square + (1 - attrs["beta2"]) * d**2
        return w - lr * (mean / c1) / (np.sqrt(square / c2) + attrs["eps"]), mean, square


def one_minus_power(beta: float) -> Expr:
    """``1 - beta^t`` over t, as ``2 u / (1 + u)`` with ``u = tanh(-t log(beta) / 2)``: near t = 0 no digits are lost,
    as they would be in the difference of 1 and a number just below it."""
    if beta <= 0.0:
        return Const(1.0)
    u = tanh((-0.5 * math.log(beta)) * Var(0))
    return (2.0 * u) / (1.0 + u)
