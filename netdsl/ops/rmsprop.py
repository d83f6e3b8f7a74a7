"""RMSprop: steps scaled by a moving average of the squared gradient."""

from __future__ import annotations

from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Expr, maximum, sqrt
from netdsl.ops.base import Arg, Array, Attrs, Kind, register
from netdsl.ops.optimizer import Optimizer


@register
class RmsProp(Optimizer):
    """RMSprop: (w, g, square[, mean][, momentum], lr) -> (w', square'[, mean'][, momentum']).

    ``d = g + weight_decay * w``, ``square' = alpha * square + (1 - alpha) * d^2``, ``z = d / (sqrt(square') + eps)``,
    ``w' = w - lr * z``. With ``centered`` the square of the mean gradient, averaged likewise, is taken off square'
    (Graves, "Generating sequences with recurrent neural networks", 2013). With a momentum,
    ``momentum' = momentum * m + z`` takes the place of z. Tieleman, Hinton, lecture 6.5 of "Neural networks for machine
    learning", 2012.
    """

    name: ClassVar[str] = "rmsprop"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("alpha", Kind.FLOAT, 0.99, minimum=0.0, maximum=1.0, doc="part of the mean square that stays"),
        Arg("eps", Kind.FLOAT, 1e-8, minimum=1e-15, doc="added to the root of the mean square"),
        Arg("momentum", Kind.FLOAT, 0.0, minimum=0.0, maximum=1.0, doc="part of the velocity that stays"),
        Arg("centered", Kind.BOOL, False, doc="scale by the variance, not by the mean square"),
        Arg("weight_decay", Kind.FLOAT, 0.0, minimum=0.0, doc="added to the gradient, times the weight"),
    )
    operands: ClassVar[tuple[str, ...]] = ("w", "g", "square", "mean", "momentum", "lr")

    def states(self, attrs: Attrs) -> tuple[str, ...]:
        given = {"square": True, "mean": attrs["centered"], "momentum": attrs["momentum"] > 0}
        return tuple(name for name, needed in given.items() if needed)

    def formula(self, attrs: Attrs, w: Expr, g: Expr, *others: Expr) -> tuple[Expr, ...]:
        state, lr = dict(zip(self.states(attrs), others, strict=False)), others[-1]
        alpha, decay = float(attrs["alpha"]), float(attrs["weight_decay"])
        d = g + decay * w if decay else g
        state["square"] = spread = alpha * state["square"] + (1.0 - alpha) * (d * d)
        if "mean" in state:
            state["mean"] = state["mean"] + (1.0 - alpha) * (d - state["mean"])
            spread = maximum(spread - state["mean"] * state["mean"], 0.0)
        move = d / (sqrt(spread) + float(attrs["eps"]))
        if "momentum" in state:
            state["momentum"] = move = float(attrs["momentum"]) * state["momentum"] + move
        return (w - lr * move, *state.values())

    def updated(self, attrs: Attrs, w: Array, g: Array, *others: Array) -> tuple[Array, ...]:
        state, lr = dict(zip(self.states(attrs), others, strict=False)), others[-1]
        alpha = attrs["alpha"]
        d = g + attrs["weight_decay"] * w
        state["square"] = spread = alpha * state["square"] + (1 - alpha) * d**2
        if "mean" in state:
            state["mean"] = alpha * state["mean"] + (1 - alpha) * d
            spread = np.maximum(spread - state["mean"] ** 2, 0)
        move = d / (np.sqrt(spread) + attrs["eps"])
        if "momentum" in state:
            state["momentum"] = move = attrs["momentum"] * state["momentum"] + move
        return (w - lr * move, *state.values())
