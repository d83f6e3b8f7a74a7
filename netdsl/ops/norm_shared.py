"""Batch normalization over the samples of several processes that take a step together (synchronized).

    mean = (sum over ranks of sum x) / count        distances = sum over ranks of sum (x - mean)^2

Two sums over the ranks in the forward pass and one pair in the backward pass, each of C numbers, that nothing can be
done beside. What is between them is ordinary graph; as in ``bn_train`` distances are taken from the mean itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, ClassVar

from netdsl.ir.scalar import Const, Expr, Var, sqrt
from netdsl.ops.base import Arg, Attrs, Kind, TrainingContext, register
from netdsl.ops.pointwise import Pointwise
from netdsl.ops.rank_sum import summed

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value


def shared_training(
    builder: GraphBuilder, node: Node, inputs: Sequence[Value], running: Sequence[Value], context: TrainingContext
) -> Sequence[Value]:
    """(x, weight, bias) and the running statistics -> y, running_mean', running_var' of a ``bn``; ``context.shared``
    are the samples of all ranks."""
    x, weight, bias = inputs
    name, eps, rate = node.name, float(node.attrs["eps"]), float(node.attrs["momentum"])
    count = context.shared * prod(x.type.shape[1:])
    channels = {"shape": x.type.shape[:1], "batched": False}

    def map_of(expr: Expr, operands: list[Value], what: str) -> Value:
        return builder.op("map", operands, {"expr": expr}, name=f"{name}.{what}").output

    total = summed(builder, builder.op("sum_to", [x], channels, name=f"{name}.total").output)
    mean = map_of(Var(0) * (1.0 / count), [total], "mean")
    squares = map_of((Var(0) - Var(1)) * (Var(0) - Var(1)), [x, mean], "squares")
    distances = summed(builder, builder.op("sum_to", [squares], channels, name=f"{name}.distances").output)
    inverse = map_of(Const(1.0) / sqrt(Var(0) * (1.0 / count) + eps), [distances], "inverse_std")
    y = builder.op("bn_shared", [x, weight, bias, mean, inverse], {"count": count}, name=name).output
    moved = (1.0 - rate) * Var(0) + rate * Var(1)
    new_mean = map_of(moved, [running[0], mean], "running_mean.next")
    unbiased = (1.0 - rate) * Var(0) + (rate / max(count - 1, 1)) * Var(1)
    return y, new_mean, map_of(unbiased, [running[1], distances], "running_var.next")


@register
class BnShared(Pointwise):
    """``y = weight * (x - mean) * inverse_std + bias`` with statistics over ``count`` numbers a channel, this rank's x
    among them: (x, weight, bias, mean, inverse_std) -> y.

    Its gradient to x is that through the statistics as well, with the sums of `bn_train_grad` over all ranks.
    """

    name: ClassVar[str] = "bn_shared"
    args: ClassVar[tuple[Arg, ...]] = (Arg("count", Kind.INT, minimum=1, doc="numbers a channel, of all ranks"),)
    operands: ClassVar[tuple[str, ...]] = ("x", "weight", "bias", "mean", "inverse_std")
    internal: ClassVar[bool] = True

    def expr(self, attrs: Attrs, count: int) -> Expr:
        x, weight, bias, mean, inverse = (Var(index) for index in range(5))
        return (x - mean) * (inverse * weight) + bias

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None] * 5
        x, weight, _, mean, inverse = node.inputs
        channels = {"shape": x.type.shape[:1], "batched": False}
        dbias = builder.op("sum_to", [g], channels).output
        weighted = builder.op("map", [g, x, mean, inverse], {"expr": Var(0) * ((Var(1) - Var(2)) * Var(3))}).output
        dweight = builder.op("sum_to", [weighted], channels).output
        all_bias, all_weight = summed(builder, dbias), summed(builder, dweight)
        part, operands = 1.0 / node.attrs["count"], [g, x, weight, mean, inverse, all_bias, all_weight]
        z = (Var(1) - Var(3)) * Var(4)
        centred = Var(0) - part * Var(5) - z * (part * Var(6))
        dx = builder.op("map", operands, {"expr": (Var(2) * Var(4)) * centred}).output
        return [dx, dweight, dbias, None, None]
