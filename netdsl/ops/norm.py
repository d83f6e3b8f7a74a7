"""Batch normalization: at inference an elementwise op, in training over the batch's own statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Expr, Var, sqrt
from netdsl.ir.types import TensorType
from netdsl.ops.base import (
    Again,
    Arg,
    Array,
    Attrs,
    Call,
    Cost,
    Init,
    Kind,
    OpDef,
    ParamSpec,
    TrainingContext,
    register,
)
from netdsl.ops.norm_shared import shared_training
from netdsl.ops.pointwise import Pointwise, require_channels

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

BN_ARGS = (
    Arg("eps", Kind.FLOAT, 1e-5, minimum=0.0, doc="added to the variance"),
    Arg("momentum", Kind.FLOAT, 0.1, minimum=0.0, maximum=1.0, doc="weight of the batch in the running statistics"),
)


@register
class Bn(Pointwise):
    """Batch normalization: ``y = weight * (x - mean) / sqrt(var + eps) + bias``, a set of four numbers a channel.

    At inference mean and var are the running statistics. In training they are the batch's, over samples and
    positions, and the running ones move towards them: ``r = (1 - momentum) * r + momentum * batch``, with
    the unbiased variance. weight and bias are learned and decay like all others (as in He et al. 2016).
    Ioffe and Szegedy, "Batch normalization", ICML 2015, algorithms 1 and 2.
    """

    name: ClassVar[str] = "bn"
    args: ClassVar[tuple[Arg, ...]] = BN_ARGS

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        require_channels(self.name, inputs[0])
        shape = inputs[0].shape[:1]
        return [
            ParamSpec("weight", shape, Init("ones")),
            ParamSpec("bias", shape, Init("zeros")),
            ParamSpec("running_mean", shape, Init("zeros"), trainable=False, decay=False),
            ParamSpec("running_var", shape, Init("ones"), trainable=False, decay=False),
        ]

    def expr(self, attrs: Attrs, count: int) -> Expr:
        x, weight, bias, mean, var = (Var(index) for index in range(5))
        return weight * ((x - mean) / sqrt(var + float(attrs["eps"]))) + bias

    def training(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[Value], context: TrainingContext
    ) -> Sequence[Value] | None:
        names = [value.node.name for value in node.inputs[3:5]]
        # A layer used twice moves its statistics twice, the second time from where the first left them.
        running = [context.updates.get(name, value) for name, value in zip(names, inputs[3:5], strict=True)]
        if context.shared:
            y, *moved = shared_training(builder, node, inputs[:3], running, context)
            context.updates.update(zip(names, moved, strict=True))
            return [y]
        twin = builder.op("bn_train", [*inputs[:3], *running], node.attrs, name=node.name)
        context.updates.update(zip(names, twin.outputs[3:5], strict=True))
        return twin.outputs[:1]


@register
class BnTrain(OpDef):
    """Batch normalization over the batch's statistics.

    (x, weight, bias, running_mean, running_var) -> (y, mean, inverse_std, running_mean', running_var').
    ``mean`` and the biased variance (sum of squared distances from the mean, over the count) are those of all
    samples and positions of a channel; ``inverse_std = 1 / sqrt(var + eps)``. The running variance takes the
    unbiased one, ``count / (count - 1)`` larger; with a count of 1 that is 0.
    """

    name: ClassVar[str] = "bn_train"
    args: ClassVar[tuple[Arg, ...]] = BN_ARGS
    operands: ClassVar[tuple[str, ...]] = ("x", "weight", "bias", "running_mean", "running_var")
    internal: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, *channels = inputs
        assert x.batched and all(type.shape == x.shape[:1] and not type.batched for type in channels), inputs
        return (x, *[TensorType(x.shape[:1], False)] * 4)

    def cost(self, call: Call) -> Cost:
        # An element: sum 1, squared distances 3, normalization 3. What is done once a channel of a whole batch (square
        # roots, running statistics) is no work of a sample.
        return Cost(flops=7 * call.inputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, weight, bias, running_mean, running_var = arrays
        axes = all_but_channels(x)
        count = x.size // x.shape[1]
        mean = x.mean(axis=axes)
        var = np.square(x - per_channel(mean, x)).mean(axis=axes)
        inverse = 1 / np.sqrt(var + call.attrs["eps"])
        y = _normalized(x, weight, bias, mean, inverse)
        rate = call.attrs["momentum"]
        unbiased = var * (count / max(count - 1, 1))
        new_mean = (1 - rate) * running_mean + rate * mean
        new_var = (1 - rate) * running_var + rate * unbiased
        return [y, mean, inverse, new_mean, new_var]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        incoming = grads[0]
        if incoming is None:
            return [None] * 5
        x, weight = node.inputs[:2]
        twin = builder.op("bn_train_grad", [incoming, x, weight, *node.outputs[1:3]])
        return [*twin.outputs, None, None]

    def again(self, node: Node) -> Again:
        # Neither the statistics nor the running ones a second time.
        return Again("bn_apply", (*node.inputs[:3], *node.outputs[1:3]), {})


@register
class BnApply(OpDef):
    """The first result of ``bn_train`` from statistics that are known: (x, weight, bias, mean, inverse_std) -> y.

    ``y = (x - mean) * (inverse_std * weight) + bias``, rounded as there.
    """

    name: ClassVar[str] = "bn_apply"
    operands: ClassVar[tuple[str, ...]] = ("x", "weight", "bias", "mean", "inverse_std")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        x, *channels = inputs
        assert x.batched and all(type.shape == x.shape[:1] and not type.batched for type in channels), inputs
        return (x,)

    def cost(self, call: Call) -> Cost:
        # An element: distance, product, sum.
        return Cost(flops=3 * call.inputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [_normalized(*arrays)]


def _normalized(x: Array, weight: Array, bias: Array, mean: Array, inverse: Array) -> Array:
    return (x - per_channel(mean, x)) * per_channel(inverse * weight, x) + per_channel(bias, x)


@register
class BnTrainGrad(OpDef):
    """Gradients of ``bn_train``: (g, x, weight, mean, inverse_std) -> (dx, dweight, dbias).

    With ``z = (x - mean) * inverse_std`` and sums over samples and positions: ``dbias = sum g``,
    ``dweight = sum g z``, ``dx = weight * inverse_std * (g - dbias / count - z * dweight / count)``.
    """

    name: ClassVar[str] = "bn_train_grad"
    operands: ClassVar[tuple[str, ...]] = ("g", "x", "weight", "mean", "inverse_std")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, x, weight = inputs[:3]
        assert g == x, inputs
        return (x, weight, weight)

    def cost(self, call: Call) -> Cost:
        # An element: z 2, sums 3, dx 4.
        return Cost(flops=9 * call.inputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, x, weight, mean, inverse = arrays
        axes = all_but_channels(x)
        count = x.size // x.shape[1]
        z = (x - per_channel(mean, x)) * per_channel(inverse, x)
        dbias = g.sum(axis=axes)
        dweight = (g * z).sum(axis=axes)
        centred = g - per_channel(dbias / count, x) - z * per_channel(dweight / count, x)
        return [per_channel(weight * inverse, x) * centred, dweight, dbias]


def all_but_channels(x: Array) -> tuple[int, ...]:
    """The axes of samples and positions of ``[N, C, ...]``."""
    return tuple(axis for axis in range(x.ndim) if axis != 1)


def per_channel(values: Array, x: Array) -> Array:
    """``[C]`` seen so that it broadcasts over ``[N, C, ...]``."""
    return values.reshape(1, -1, *([1] * (x.ndim - 2)))
