"""Stochastic gradient descent."""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.scalar import Expr, Var
from netdsl.ops.base import Arg, Array, Attrs, Kind, register
from netdsl.ops.optimizer import Optimizer


@register
class Sgd(Optimizer):
    """Stochastic gradient descent with momentum: (w, g, m, lr) -> (w', m').

    ``d = g + weight_decay * w``, ``m' = momentum * m + d``, ``w' = w - lr * m'``; with ``nesterov``
    ``w' = w - lr * (d + momentum * m')``. m starts at zeros. Sutskever et al., ICML 2013, in the form whose
    learning rate multiplies the velocity.
    """

    name: ClassVar[str] = "sgd"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("momentum", Kind.FLOAT, 0.0, minimum=0.0, doc="part of the velocity that stays"),
        Arg("nesterov", Kind.BOOL, False, doc="look ahead along the velocity"),
        Arg("weight_decay", Kind.FLOAT, 0.0, minimum=0.0, doc="pull of the weights towards 0"),
    )
    operands: ClassVar[tuple[str, ...]] = ("w", "g", "m", "lr")

    def states(self, attrs: Attrs) -> tuple[str, ...]:
        return ("momentum",)

    def formula(self, attrs: Attrs, w: Expr, g: Expr, *others: Expr) -> tuple[Expr, ...]:
        m, lr = others
        momentum = float(attrs["momentum"])
        direction = g + float(attrs["weight_decay"]) * w
        velocity = momentum * m + direction
        move = direction + momentum * velocity if attrs["nesterov"] else velocity
        return w - lr * move, velocity

    def updated(self, attrs: Attrs, w: Array, g: Array, *others: Array) -> tuple[Array, ...]:
        m, lr = others
        step = g + attrs["weight_decay"] * w
        velocity = attrs["momentum"] * m + step
        step = step + attrs["momentum"] * velocity if attrs["nesterov"] else velocity
        return w - lr * step, velocity


def plain_sgd(weight_decay: float) -> Expr:
    """``w - lr * (g + weight_decay * w)`` over (w, g, lr): descent without momentum has nothing to remember."""
    w, g, lr = Var(0), Var(1), Var(2)
    return w - lr * (g + weight_decay * w if weight_decay else g)
