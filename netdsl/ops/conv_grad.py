"""Gradients of convolutions. ``deconv`` is differentiated with ``conv`` and the same two ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl.ir.types import TensorType
from netdsl.ops import conv_math, window
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, StepOp, register
from netdsl.ops.conv import DILATION, GROUPS, KERNEL, PAD, STRIDE


class _ConvGrad(StepOp):
    """Base: arguments are those of the convolution, resolved."""

    args: ClassVar[tuple[Arg, ...]] = (KERNEL, STRIDE, PAD, DILATION, GROUPS)


@register
class ConvGradInput(_ConvGrad):
    """Gradient of ``conv`` to its input: (g [O, OH, OW], weight (O, C/groups, kh, kw)) -> ``shape`` [C, H, W].

    ``gx[c, i] = sum w[o, c, u] g[o, j]`` over all j, u with ``j*stride + u*dilation - pad = i``, in both axes.
    """

    name: ClassVar[str] = "conv_grad_input"
    args: ClassVar[tuple[Arg, ...]] = (*_ConvGrad.args, Arg("shape", Kind.SHAPE, doc="the input's shape"))
    operands: ClassVar[tuple[str, ...]] = ("g", "weight")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, weight = inputs
        windows = window.windows_of(attrs, attrs["shape"])
        assert g.shape == (weight.shape[0], *(w.outputs("floor") for w in windows)), (attrs, inputs)
        assert weight.shape[1:] == (attrs["shape"][0] // attrs["groups"], *attrs["kernel"]), (attrs, inputs)
        return (TensorType(tuple(attrs["shape"])),)

    def cost(self, call: Call) -> Cost:
        g, weight = call.inputs
        macs = g.elements * (weight.elements // weight.shape[0])
        return Cost(macs, 2 * macs)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        channels, height, width = call.attrs["shape"]
        g, weight = arrays
        return [conv_math.grad_input(g, weight, call.attrs, (channels, height, width))]


@register
class ConvGradWeight(_ConvGrad):
    """Gradient of ``conv`` to its weight: (g [O, OH, OW], x [C, H, W]) -> (O, C/groups, kh, kw), unbatched.

    ``gw[o, c, u] = sum g[o, j] x[c, j*stride + u*dilation - pad]`` over samples and positions.
    """

    name: ClassVar[str] = "conv_grad_weight"
    operands: ClassVar[tuple[str, ...]] = ("g", "x")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, x = inputs
        windows = window.windows_of(attrs, x.shape)
        assert g.shape[1:] == tuple(w.outputs("floor") for w in windows), (attrs, inputs)
        return (TensorType((g.shape[0], x.shape[0] // attrs["groups"], *attrs["kernel"]), False),)

    def cost(self, call: Call) -> Cost:
        weight = call.outputs[0]
        macs = call.inputs[0].elements * (weight.elements // weight.shape[0])
        return Cost(macs, 2 * macs)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, x = arrays
        return [conv_math.grad_weight(g, x, call.attrs)]
