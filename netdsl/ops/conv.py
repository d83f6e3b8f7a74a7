"""Convolution and transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.types import TensorType
from netdsl.ops import conv_math, window
from netdsl.ops.base import (
    Arg,
    Array,
    Attrs,
    AxisMap,
    Call,
    Cost,
    Init,
    Kind,
    OpDef,
    OpWarning,
    ParamSpec,
    ReceptiveRule,
    ShapeError,
    register,
)

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

INIT_WORDS = ("he", "xavier", "lecun", "zeros")
CHANNELS = Arg("channels", Kind.INT, minimum=1, doc="output channels")
KERNEL = Arg("kernel", Kind.SIZE, minimum=1, doc="height and width of the window")
STRIDE = Arg("stride", Kind.SIZE, (1, 1), minimum=1, doc="step of the window")
PAD = Arg("pad", Kind.PAD, (0, 0, 0, 0), window.SAME_WORDS, minimum=0, doc="zeros around the input")
DILATION = Arg("dilation", Kind.SIZE, (1, 1), minimum=1, doc="distance between taps of the window")
GROUPS = Arg("groups", Kind.INT, 1, minimum=1, doc="parts of the channels that do not see each other")
BIAS = Arg("bias", Kind.BOOL, True, doc="whether a number is added to each output channel")
INIT = Arg("init", Kind.WORD, "he", INIT_WORDS, doc="how the weight starts; the bias starts at 0")


@register
class Conv(OpDef):
    """Convolution of ``[C, H, W]``: ``y[o, i, j] = bias[o] + sum w[o, c, u, v] x[c, i*s + u*d - p, j*s + v*d - p]``.

    Output size along each axis: ``floor((n + p0 + p1 - dilation*(k - 1) - 1) / stride) + 1``; with ``round=exact`` a
    remainder is an error. The sum runs over the C/groups channels of the output channel's group, so C and
    ``channels`` are multiples of ``groups``. Parameters: ``weight`` (channels, C/groups, kh, kw) and ``bias``
    (channels,). ``pad=same`` gives ``ceil(n / stride)`` positions; the odd zero goes behind (``same_upper``, ``same``)
    or before (``same_lower``) the image.
    LeCun et al., "Gradient-based learning applied to document recognition", 1998; groups: Krizhevsky et al., 2012;
    dilation: Yu and Koltun, 2016.
    """

    name: ClassVar[str] = "conv"
    args: ClassVar[tuple[Arg, ...]] = (
        CHANNELS,
        KERNEL,
        STRIDE,
        PAD,
        DILATION,
        GROUPS,
        BIAS,
        Arg("round", Kind.WORD, "floor", ("floor", "exact"), doc="what happens to a remainder of the output size"),
        INIT,
    )

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        window.require_map(self.name, inputs)
        return {**attrs, "pad": window.resolve_pad(attrs, inputs[0].shape)}

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        channels, kernel = attrs["channels"], attrs["kernel"]
        inner = require_groups(self.name, attrs, inputs[0])
        taps = kernel[0] * kernel[1]
        shape = (channels, inner, *kernel)
        return weight_and_bias(attrs, shape, channels, inner * taps, channels // attrs["groups"] * taps)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        window.require_map(self.name, inputs)
        require_groups(self.name, attrs, inputs[0])
        windows = window.windows_of(attrs, inputs[0].shape)
        window.require_fit(self.name, windows)
        if attrs["round"] == "exact":
            window.require_exact(self.name, windows)
        return (window.result_type(self.name, (attrs["channels"], *(w.outputs("floor") for w in windows))),)

    def warnings(self, call: Call) -> list[OpWarning]:
        windows = window.windows_of(call.attrs, call.inputs[0].shape)
        return window.dropped_warnings(self.name, windows, call.outputs[0].shape[1:], "more padding would reach them")

    def cost(self, call: Call) -> Cost:
        return conv_cost(call, call.outputs[0].elements)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return window.receptive(window.windows_of(call.attrs, call.inputs[0].shape)) if operand == 0 else None

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, weight, *bias = arrays
        _, height, width = call.outputs[0].shape
        return [with_bias(conv_math.forward(x, weight, call.attrs, (height, width)), bias)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None] * len(node.inputs)
        x, weight, *bias = node.inputs
        attrs = shared_attrs(node.attrs)
        grad_x = builder.op("conv_grad_input", [g, weight], {**attrs, "shape": x.type.shape}).output
        grad_w = builder.op("conv_grad_weight", [g, x], attrs).output
        return [grad_x, grad_w, *(bias_gradient(builder, g, value) for value in bias)]


@register
class Deconv(OpDef):
    """Transposed convolution of ``[C, H, W]``, the adjoint of ``conv`` with the same arguments.

    ``y[o, i] = bias[o] + sum w[c, o, u] x[c, j]`` over all j, u with ``j*stride + u*dilation - p0 = i``, in both axes.
    Output size: ``(n - 1)*stride - p0 - p1 + dilation*(k - 1) + output_pad + 1``; ``output_pad`` < ``stride`` adds
    positions behind, which tells apart the sizes that a convolution of this stride brings to n. ``pad=same`` gives
    ``n * stride``. Parameters: ``weight`` (C, channels/groups, kh, kw) and ``bias`` (channels,).
    Zeiler et al., "Deconvolutional networks", CVPR 2010; Long et al., CVPR 2015.
    """

    name: ClassVar[str] = "deconv"
    args: ClassVar[tuple[Arg, ...]] = (
        CHANNELS,
        KERNEL,
        STRIDE,
        Arg("pad", Kind.PAD, (0, 0, 0, 0), window.SAME_WORDS, minimum=0, doc="positions cut off around the result"),
        Arg("output_pad", Kind.SIZE, (0, 0), minimum=0, doc="positions added behind the result"),
        DILATION,
        GROUPS,
        BIAS,
        INIT,
    )

    def resolve(self, attrs: Attrs, inputs: Sequence[TensorType]) -> dict[str, Any]:
        window.require_map(self.name, inputs)
        if attrs["pad"] not in window.SAME_WORDS:
            return dict(attrs)
        pairs = [window.split_pad(_same_total(attrs, axis), attrs["pad"]) for axis in range(2)]
        return {**attrs, "pad": (*pairs[0], *pairs[1])}

    def parameters(self, attrs: Attrs, inputs: Sequence[TensorType]) -> list[ParamSpec]:
        inner = require_groups(self.name, attrs, inputs[0])
        channels, (height, width) = attrs["channels"], attrs["kernel"]
        outer = channels // attrs["groups"]
        # Each output position meets about kernel/stride taps of the window along an axis.
        step_y, step_x = attrs["stride"]
        met = max(1, height // step_y) * max(1, width // step_x)
        shape = (inputs[0].shape[0], outer, height, width)
        return weight_and_bias(attrs, shape, channels, inner * met, outer * height * width)

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        window.require_map(self.name, inputs)
        require_groups(self.name, attrs, inputs[0])
        sizes = [_deconv_size(attrs, axis, length) for axis, length in enumerate(inputs[0].shape[1:])]
        return (window.result_type(self.name, (attrs["channels"], *sizes)),)

    def cost(self, call: Call) -> Cost:
        return conv_cost(call, call.inputs[0].elements)

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        if operand:
            return None
        rows, cols = (_transposed_map(call.attrs, axis) for axis in range(2))
        return rows, cols

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, weight, *bias = arrays
        channels, height, width = call.outputs[0].shape
        return [with_bias(conv_math.grad_input(x, weight, call.attrs, (channels, height, width)), bias)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        g = grads[0]
        if g is None:
            return [None] * len(node.inputs)
        x, weight, *bias = node.inputs
        attrs = shared_attrs(node.attrs)
        forward = {**attrs, "channels": x.type.shape[0], "bias": False}
        grad_x = builder.op("conv", [g, weight], forward).output
        grad_w = builder.op("conv_grad_weight", [x, g], attrs).output
        return [grad_x, grad_w, *(bias_gradient(builder, g, value) for value in bias)]


def _deconv_size(attrs: Attrs, axis: int, length: int) -> int:
    stride, extra = attrs["stride"][axis], attrs["output_pad"][axis]
    if extra >= stride:
        raise ShapeError(
            Code.BAD_VALUE,
            "`output_pad` of `deconv` is smaller than its `stride`",
            label=f"{window.AXIS_NAMES[axis]}: {extra} >= {stride}",
        )
    cut = sum(attrs["pad"][2 * axis : 2 * axis + 2])
    return int((length - 1) * stride - cut + _reach(attrs, axis) + extra + 1)


def _reach(attrs: Attrs, axis: int) -> int:
    """Distance from the first tap to the last."""
    return int(attrs["dilation"][axis] * (attrs["kernel"][axis] - 1))


def _same_total(attrs: Attrs, axis: int) -> int:
    """What to cut off so that ``n * stride`` positions stay."""
    total = _reach(attrs, axis) + 1 + int(attrs["output_pad"][axis]) - int(attrs["stride"][axis])
    if total < 0:
        raise ShapeError(
            Code.BAD_VALUE,
            "`deconv` cannot pad to `same`: its window is smaller than its stride",
            notes=[f"{window.AXIS_NAMES[axis]}: {_reach(attrs, axis) + 1} < {attrs['stride'][axis]}"],
        )
    return total


def _transposed_map(attrs: Attrs, axis: int) -> AxisMap:
    stride, before = attrs["stride"][axis], attrs["pad"][2 * axis]
    return AxisMap(Fraction(1, stride), Fraction(before - _reach(attrs, axis), stride), Fraction(before, stride))


# -- what convolutions share -------------------------------------------------------------------


def require_groups(op: str, attrs: Attrs, x: TensorType) -> int:
    """Input channels of a group. Raises ShapeError when groups don't divide the channels."""
    groups = attrs["groups"]
    for side, channels in (("input", x.shape[0]), ("output", attrs["channels"])):
        if channels % groups:
            raise ShapeError(
                Code.SHAPE_MISMATCH,
                f"`{op}` cannot split {channels} {side} channels into {groups} groups",
                label=f"{channels}/{groups} = {window.decimal(Fraction(channels, groups))}",
            )
    return int(x.shape[0] // groups)


def weight_and_bias(attrs: Attrs, shape: tuple[int, ...], outputs: int, fan_in: int, fan_out: int) -> list[ParamSpec]:
    """The two parameters of a linear layer; weight decay acts on both, as in PyTorch's SGD."""
    specs = [ParamSpec("weight", shape, Init(attrs["init"], 1.0, fan_in, fan_out))]
    if attrs["bias"]:
        specs.append(ParamSpec("bias", (outputs,), Init("zeros")))
    return specs


def conv_cost(call: Call, positions: int) -> Cost:
    """``positions`` elements of the side that the window is moved over meet a window each; padding taps count.

    Two operations a multiply-accumulate (the first sum of a window starts at 0), and one for each bias added.
    """
    weight = call.inputs[1]
    macs = positions * (weight.elements // weight.shape[0])
    biases = call.outputs[0].elements if len(call.inputs) > 2 else 0
    return Cost(macs, 2 * macs + biases)


def with_bias(y: Array, bias: Sequence[Array]) -> Array:
    return np.asarray(y + bias[0].reshape(-1, 1, 1)) if bias else y


def shared_attrs(attrs: Attrs) -> dict[str, Any]:
    """What a convolution and its gradients have in common."""
    return {name: attrs[name] for name in ("kernel", "stride", "pad", "dilation", "groups")}


def bias_gradient(builder: GraphBuilder, g: Value, bias: Value) -> Value:
    """The incoming gradient summed over samples and positions."""
    return builder.op("sum_to", [g], {"shape": bias.type.shape, "batched": False}).output
