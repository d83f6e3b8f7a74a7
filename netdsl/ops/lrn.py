"""Local response normalization across channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, OpDef, register
from netdsl.ops.pointwise import require_channels

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

LRN_ARGS = (
    Arg("size", Kind.INT, 5, minimum=1, maximum=4096, doc="channels in the window"),
    Arg("alpha", Kind.FLOAT, 1e-4, doc="weight of the mean square; the paper's alpha times size"),
    Arg("beta", Kind.FLOAT, 0.75, doc="exponent"),
    Arg("k", Kind.FLOAT, 1.0, doc="added constant"),
)


class _Lrn(OpDef):
    """What the op and its gradient share."""

    args: ClassVar[tuple[Arg, ...]] = LRN_ARGS

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        require_channels(self.name, inputs[0])
        assert all(type == inputs[0] for type in inputs), inputs
        return (inputs[0],)


@register
class Lrn(_Lrn):
    """``y[c] = x[c] / (k + alpha/size * sum of x[j]^2)^beta`` over j = c - size//2 ... c + (size-1)//2.

    Channels beyond the ends count as 0. ``alpha`` is divided by ``size``, as usual today; the paper's is not:
    its alpha = 1e-4 with n = 5 is 5e-4 here. Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.3.
    """

    name: ClassVar[str] = "lrn"

    def cost(self, call: Call) -> Cost:
        # Square 1, window size - 1, scale and shift 2, power and product 2 an element.
        return Cost(flops=(call.attrs["size"] + 4) * call.outputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x = arrays[0]
        return [x * base(x, call) ** -call.attrs["beta"]]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None]
        return [builder.op("lrn_grad", [grads[0], node.inputs[0]], node.attrs).output]


@register
class LrnGrad(_Lrn):
    """(g, x) -> dx of ``lrn``; with ``s[c]`` the base of the power and ``y`` the result of ``lrn``:

    ``dx[i] = g[i] * s[i]^-beta - 2*alpha*beta/size * x[i] * sum of g[c] * y[c] / s[c]`` over the c whose
    window holds i: c = i - (size-1)//2 ... i + size//2.
    """

    name: ClassVar[str] = "lrn_grad"
    operands: ClassVar[tuple[str, ...]] = ("g", "x")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def cost(self, call: Call) -> Cost:
        # The base again size + 2, its power 1, products with g and x and the quotient 3, window size - 1, the rest 3.
        return Cost(flops=(2 * call.attrs["size"] + 8) * call.outputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, x = arrays
        size, alpha, beta = (call.attrs[name] for name in ("size", "alpha", "beta"))
        s = base(x, call)
        power = s**-beta
        shared = window_sum(g * x * power / s, (size - 1) // 2, size // 2)
        return [g * power - (2 * alpha * beta / size) * x * shared]


def base(x: Array, call: Call) -> Array:
    """``k + alpha/size * sum of squares`` at every element."""
    size = call.attrs["size"]
    squares = window_sum(np.square(x), size // 2, (size - 1) // 2)
    return np.asarray(call.attrs["k"] + (call.attrs["alpha"] / size) * squares)


def window_sum(values: Array, before: int, after: int) -> Array:
    """Sums over ``before`` channels below to ``after`` above, of ``[N, C, ...]``."""
    channels = values.shape[1]
    total = np.zeros_like(values)
    for shift in range(-min(before, channels - 1), min(after, channels - 1) + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        total[:, low:high] += values[:, low + shift : high + shift]
    return total
