"""Ops over weights that rewrites need. They are evaluated once, when weights are loaded, by the reference.

None costs anything when the network runs, and no backend has a kernel for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, StepOp, register


class WeightOp(StepOp):
    """Base: unbatched operands, no spatial relation, not differentiable; done when weights are loaded, not in a run."""

    def cost(self, call: Call) -> Cost:
        return Cost()


@register
class WeightReshape(WeightOp):
    """The same numbers in row-major order under another shape: any rank, equal number of elements."""

    name: ClassVar[str] = "weight_reshape"
    args: ClassVar[tuple[Arg, ...]] = (Arg("shape", Kind.SHAPE, doc="the new shape"),)
    operands: ClassVar[tuple[str, ...]] = ("weight",)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        result = TensorType(tuple(attrs["shape"]), False)
        assert result.elements == inputs[0].elements, (result.shape, inputs[0].shape)
        return (result,)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [arrays[0].reshape(call.attrs["shape"])]


@register
class WeightConcat(WeightOp):
    """Weights one after the other along their first axis (output channels): (O1, ...), (O2, ...) -> (O1 + O2, ...)."""

    name: ClassVar[str] = "weight_concat"
    operands: ClassVar[tuple[str, ...]] = ("weight",)
    variadic: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        first, *others = (item.shape for item in inputs)
        assert all(shape[1:] == first[1:] for shape in others), [item.shape for item in inputs]
        return (TensorType((first[0] + sum(shape[0] for shape in others), *first[1:]), False),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [np.concatenate(arrays)]


@register
class WeightSpread(WeightOp):
    """A convolution's weight over more input channels: (O, I, ...) -> (O, channels, ...).

    Input channel i goes to ``places[i]``; what comes to one place is added, and where nothing comes is zero.
    """

    name: ClassVar[str] = "weight_spread"
    args: ClassVar[tuple[Arg, ...]] = (
        Arg("places", Kind.INTS, minimum=0, doc="where each input channel goes"),
        Arg("channels", Kind.INT, minimum=1, doc="input channels of the result"),
    )
    operands: ClassVar[tuple[str, ...]] = ("weight",)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        out, inner, *kernel = inputs[0].shape
        places, channels = attrs["places"], attrs["channels"]
        assert len(places) == inner and max(places) < channels, (inputs[0].shape, places, channels)
        return (TensorType((out, channels, *kernel), False),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        (weight,) = arrays
        result = np.zeros((weight.shape[0], call.attrs["channels"], *weight.shape[2:]), weight.dtype)
        for channel, place in enumerate(call.attrs["places"]):
            result[:, place] += weight[:, channel]
        return [result]


@register
class WeightResponse(WeightOp):
    """What a convolution answers, away from any padding, to an image with one value ``t[c]`` a channel.

    ``r[o] = sum over i, y, x of w[o, i, y, x] * t[group(o) * I/g + i]``; w: (O, I/g, ...), t: (I,) -> (O,).
    """

    name: ClassVar[str] = "weight_response"
    args: ClassVar[tuple[Arg, ...]] = (Arg("groups", Kind.INT, 1, minimum=1, doc="groups of the convolution"),)
    operands: ClassVar[tuple[str, ...]] = ("weight", "channel_values")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        (out, inner, *_), (channels,) = inputs[0].shape, inputs[1].shape
        assert inner * attrs["groups"] == channels, (inputs[0].shape, channels, attrs["groups"])
        return (TensorType((out,), False),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        weight, values = arrays
        groups, (out, inner, *_) = call.attrs["groups"], weight.shape
        sums = weight.reshape(groups, out // groups, inner, -1).sum(axis=3)
        return [np.einsum("goi,gi->go", sums, values.reshape(groups, inner)).reshape(out)]


@register
class ComposeWeights(WeightOp):
    """The kernel of two convolutions in a row, one of which is 1x1.

    ``w[o, i, y, x] = sum over m of w2[o, m, y2, x2] * w1[m, i, y1, x1]``; w2: (O, M, h2, w2), w1: (M, I, h1, w1)
    -> (O, I, max(h1, h2), max(w1, w2)).
    """

    name: ClassVar[str] = "compose_weights"
    operands: ClassVar[tuple[str, ...]] = ("second", "first")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        (out, middle, *kernel2), (middle1, inner, *kernel1) = inputs[0].shape, inputs[1].shape
        assert middle == middle1, (middle, middle1)
        assert [1, 1] in (kernel1, kernel2), (kernel1, kernel2)
        return (TensorType((out, inner, *(a * b for a, b in zip(kernel1, kernel2, strict=True))), False),)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        product = np.tensordot(arrays[0], arrays[1], axes=(1, 0))  # (O, h2, w2, I, h1, w1)
        shape = self.infer(call.attrs, call.inputs)[0].shape
        return [product.transpose(0, 3, 1, 4, 2, 5).reshape(shape)]
