"""Optimizers: one step for one parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Expr, Var
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, OpDef, ReceptiveRule, register


@register
class Sgd(OpDef):
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
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    flat: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        w, g, m, lr = inputs
        assert w == g == m and not w.batched and lr == TensorType((), False), inputs
        return (w, m)

    def cost(self, call: Call) -> Cost:
        return Cost(flops=(8 if call.attrs["nesterov"] else 6) * call.outputs[0].elements)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return None

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        w, g, m, lr = arrays
        momentum = call.attrs["momentum"]
        step = g + call.attrs["weight_decay"] * w
        velocity = momentum * m + step
        if call.attrs["nesterov"]:
            step = step + momentum * velocity
        else:
            step = velocity
        return [np.asarray(w - lr * step), np.asarray(velocity)]


def plain_sgd(weight_decay: float) -> Expr:
    """``w - lr * (g + weight_decay * w)`` over (w, g, lr): descent without momentum has nothing to remember."""
    w, g, lr = Var(0), Var(1), Var(2)
    return w - lr * (g + weight_decay * w if weight_decay else g)
