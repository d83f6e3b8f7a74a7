"""Locally connected layers: windows as of a convolution, with a kernel of its own at every position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.ops import conv_math, window
from netdsl.ops.base import (
    Arg,
    Array,
    Attrs,
    Call,
    Cost,
    Init,
    Kind,
    OpDef,
    OpWarning,
    ParamSpec,
    ReceptiveRule,
    StepOp,
    register,
)
from netdsl.ops.conv import BIAS, CHANNELS, INIT, KERNEL, PAD, STRIDE
from netdsl.ops.pointwise import sum_to

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value


@register
class Local(OpDef):
    """Locally connected layer on ``[C, H, W]``: a convolution whose weights are not shared between positions.

    ``y[o, i, j] = bias[o, i, j] + sum w[o, i, j, c, u, v] x[c, i*s + u - p, j*s + v - p]``. Output size as of ``conv``.
    Parameters: ``weight`` (channels, OH, OW, C, kh, kw) and ``bias`` (channels, OH, OW).
    Taigman, Yang, Ranzato and Wolf, "DeepFace", CVPR 2014; LeCun, "Generalization and network design strategies", 1989.
    """

    name: ClassVar[str] = "local"
    args: ClassVar[tuple[Arg, ...]] = (CHANNELS, KERNEL, STRIDE, PAD, BIAS, INIT)

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        window.require_map(self.name, inputs)
        return {**attrs, "pad": window.resolve_pad(attrs, inputs[0].shape)}

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        result = self.infer(attrs, inputs)[0].shape
        kernel = (inputs[0].shape[0], *attrs["kernel"])
        fan_in, fan_out = int(np.prod(kernel)), attrs["channels"] * attrs["kernel"][0] * attrs["kernel"][1]
        specs = [ParamSpec("weight", (*result, *kernel), Init(attrs["init"], 1.0, fan_in, fan_out))]
        return [*specs, ParamSpec("bias", result, Init("zeros"))] if attrs["bias"] else specs

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        window.require_map(self.name, inputs)
        windows = window.windows_of(attrs, inputs[0].shape)
        window.require_fit(self.name, windows)
        return (window.result_type(self.name, (attrs["channels"], *(w.outputs("floor") for w in windows))),)

    def warnings(self, call: Call) -> list[OpWarning]:
        windows = window.windows_of(call.attrs, call.inputs[0].shape)
        return window.dropped_warnings(self.name, windows, call.outputs[0].shape[1:], "more padding would reach them")

    def cost(self, call: Call) -> Cost:
        macs = call.inputs[1].elements
        return Cost(macs, 2 * macs + (call.outputs[0].elements if len(call.inputs) > 2 else 0))

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return window.receptive(window.windows_of(call.attrs, call.inputs[0].shape)) if operand == 0 else None

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, weight, *bias = arrays
        y = np.zeros((len(x), *weight.shape[:3]), dtype=x.dtype)
        padded = conv_math.pad_map(x, call.attrs["pad"])
        for (row, col), place in local_taps(call.attrs, weight.shape):
            y += np.einsum("ncij,oijc->noij", padded[place], weight[..., row, col])
        return [y + bias[0] if bias else y]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None] * len(node.inputs)
        x, weight, *bias = node.inputs
        attrs = {name: node.attrs[name] for name in ("kernel", "stride", "pad")}
        grad_x = builder.op("local_grad_input", [g, weight], {**attrs, "shape": x.type.shape}).output
        grad_w = builder.op("local_grad_weight", [g, x], attrs).output
        return [grad_x, grad_w, *(sum_to(builder, g, value.type) for value in bias)]


class _LocalGrad(StepOp):
    """Base: arguments are those of the layer, resolved."""

    args: ClassVar[tuple[Arg, ...]] = (KERNEL, STRIDE, PAD)


@register
class LocalGradInput(_LocalGrad):
    """Gradient of ``local`` to its input: (g [O, OH, OW], weight (O, OH, OW, C, kh, kw)) -> ``shape`` [C, H, W].

    ``gx[c, y, x] = sum w[o, i, j, c, u, v] g[o, i, j]`` over all with ``i*s + u - p = y`` and ``j*s + v - p = x``.
    """

    name: ClassVar[str] = "local_grad_input"
    args: ClassVar[tuple[Arg, ...]] = (*_LocalGrad.args, Arg("shape", Kind.SHAPE, doc="the input's shape"))
    operands: ClassVar[tuple[str, ...]] = ("g", "weight")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, weight = inputs
        assert weight.shape == (*g.shape, attrs["shape"][0], *attrs["kernel"]), (attrs, inputs)
        return (TensorType(tuple(attrs["shape"])),)

    def cost(self, call: Call) -> Cost:
        macs = call.inputs[1].elements
        return Cost(macs, 2 * macs)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, weight = arrays
        channels, height, width = call.attrs["shape"]
        top, bottom, left, right = call.attrs["pad"]
        padded = np.zeros((len(g), channels, height + top + bottom, width + left + right), dtype=g.dtype)
        for (row, col), place in local_taps(call.attrs, weight.shape):
            padded[place] += np.einsum("noij,oijc->ncij", g, weight[..., row, col])
        return [padded[:, :, top : top + height, left : left + width].copy()]


@register
class LocalGradWeight(_LocalGrad):
    """Gradient of ``local`` to its weight: (g [O, OH, OW], x [C, H, W]) -> (O, OH, OW, C, kh, kw), unbatched.

    ``gw[o, i, j, c, u, v] = sum over samples of g[o, i, j] x[c, i*s + u - p, j*s + v - p]``.
    """

    name: ClassVar[str] = "local_grad_weight"
    operands: ClassVar[tuple[str, ...]] = ("g", "x")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, x = inputs
        windows = window.windows_of(attrs, x.shape)
        assert g.shape[1:] == tuple(w.outputs("floor") for w in windows), (attrs, inputs)
        return (TensorType((*g.shape, x.shape[0], *attrs["kernel"]), False),)

    def cost(self, call: Call) -> Cost:
        macs = call.outputs[0].elements
        return Cost(macs, 2 * macs)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, x = arrays
        result = np.zeros(call.outputs[0].shape, dtype=g.dtype)
        padded = conv_math.pad_map(x, call.attrs["pad"])
        for (row, col), place in local_taps(call.attrs, result.shape):
            result[..., row, col] = np.einsum("noij,ncij->oijc", g, padded[place])
        return [result]


def local_taps(attrs: Attrs, weight: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], tuple[slice, ...]]]:
    """Each kernel position, and the part of the padded input that it meets, for a weight (O, OH, OW, C, kh, kw)."""
    return conv_math.taps({**attrs, "dilation": (1, 1)}, weight[1:3])
