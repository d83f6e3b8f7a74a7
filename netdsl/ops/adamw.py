"""AdamW: Adam whose weight decay does not pass through the averages."""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.scalar import Expr
from netdsl.ops.adam import ADAM_ARGS, Adam
from netdsl.ops.base import Arg, Array, Attrs, Kind, register


@register
class AdamW(Adam):
    """Adam with decoupled weight decay: (w, g, mean, square, lr, c1, c2) -> (w', mean', square').

    First ``w <- w - lr * weight_decay * w``, then Adam's step with the gradient alone. Loshchilov, Hutter, "Decoupled
    weight decay regularization", ICLR 2019.
    """

    name: ClassVar[str] = "adamw"
    args: ClassVar[tuple[Arg, ...]] = (
        *ADAM_ARGS,
        Arg("weight_decay", Kind.FLOAT, 0.01, minimum=0.0, doc="share of the weight that a rate of 1 takes away"),
    )

    def formula(self, attrs: Attrs, w: Expr, g: Expr, *others: Expr) -> tuple[Expr, ...]:
        decay, lr = float(attrs["weight_decay"]), others[2]
        return self._moved(attrs, w * (1.0 - lr * decay) if decay else w, g, *others)

    def updated(self, attrs: Attrs, w: Array, g: Array, *others: Array) -> tuple[Array, ...]:
        return self._moved_arrays(attrs, w - others[2] * attrs["weight_decay"] * w, g, *others)
