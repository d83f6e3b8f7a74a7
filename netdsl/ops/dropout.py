"""Dropout with masks that are a pure function of counters: none is stored, and any thread can compute any part."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Expr, Var
from netdsl.ir.types import DType, TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, OpDef, Traffic, TrainingContext, register
from netdsl.ops.pointwise import Pointwise

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

P_ARG = Arg("p", Kind.FLOAT, 0.5, minimum=0.0, maximum=1.0, doc="probability that a value is dropped")
GOLDEN = 0x9E3779B9


@register
class Dropout(Pointwise):
    """In training each value becomes 0 with probability ``p``, and ``x / (1 - p)`` otherwise; at inference ``y = x``.

    Srivastava et al., "Dropout", JMLR 2014 (in the inverted form, which leaves inference alone).
    """

    name: ClassVar[str] = "dropout"
    args: ClassVar[tuple[Arg, ...]] = (P_ARG,)

    def expr(self, attrs: Attrs, count: int) -> Expr:
        return Var(0)

    def traffic(self, call: Call) -> Traffic:
        return Traffic((0,), (0,))

    def training(
        self, builder: GraphBuilder, node: Node, inputs: Sequence[Value], context: TrainingContext
    ) -> Sequence[Value] | None:
        if node.attrs["p"] == 0:
            return None
        attrs = {"p": node.attrs["p"], "salt": zlib.crc32(node.name.encode()), "first": context.first}
        return builder.op("dropout_apply", [inputs[0], context.step, context.seed], attrs, name=node.name).outputs


@register
class DropoutApply(OpDef):
    """(x, step, seed) -> y: ``x / (1 - p)`` where ``hash >> 8 >= ceil(p * 2^24)``, 0 elsewhere.

    All in 32-bit unsigned arithmetic, with ``mix`` the finalizer of MurmurHash3 (Appleby 2011):

    - ``key = 0``, then ``key = mix((key ^ word) + 0x9E3779B9)`` for word = salt, step, seed;
    - ``hash = mix(mix(index ^ key) + key)``, index the element's place in row-major ``[N, C, H, W]``, the batch's first
      sample having the number ``first``.
    """

    name: ClassVar[str] = "dropout_apply"
    args: ClassVar[tuple[Arg, ...]] = (
        P_ARG,
        Arg("salt", Kind.INT, doc="tells layers apart"),
        Arg("first", Kind.INT, 0, minimum=0, doc="the first sample's number"),
    )
    operands: ClassVar[tuple[str, ...]] = ("x", "step", "seed")
    internal: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        counter = TensorType((), False, DType.I32)
        assert tuple(inputs[1:]) == (counter, counter), inputs
        return (inputs[0],)

    def cost(self, call: Call) -> Cost:
        # The product; which elements are kept is integer arithmetic.
        return Cost(flops=call.outputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        x, step, seed = arrays
        p = call.attrs["p"]
        before = call.attrs["first"] * call.inputs[0].elements
        kept = keep_mask(x.size, p, call.attrs["salt"], int(step), int(seed), before).reshape(x.shape)
        return [np.where(kept, x * x.dtype.type(keep_scale(p)), x.dtype.type(0))]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None, None, None]
        return [builder.op("dropout_apply", [grads[0], *node.inputs[1:]], node.attrs).output, None, None]


def keep_scale(p: float) -> float:
    """What kept values are multiplied by."""
    return 1.0 / (1.0 - p) if p < 1 else 0.0


def keep_threshold(p: float) -> int:
    """An element is kept where the upper 24 bits of its hash reach this."""
    return math.ceil(p * 2**24)


def keep_mask(count: int, p: float, salt: int, step: int, seed: int, before: int = 0) -> Array:
    """Which of ``count`` elements are kept, with ``before`` others before them."""
    key = np.zeros(1, np.uint32)
    for word in (salt, step, seed):
        key = _mix((key ^ np.uint32(word & 0xFFFFFFFF)) + np.uint32(GOLDEN))
    indices = np.arange(count, dtype=np.uint32) + np.uint32(before & 0xFFFFFFFF)
    hashes = _mix(_mix(indices ^ key) + key)
    return np.asarray((hashes >> np.uint32(8)) >= np.uint32(keep_threshold(p)))


def _mix(h: Array) -> Array:
    h = h ^ (h >> np.uint32(16))
    h = h * np.uint32(0x85EBCA6B)
    h = h ^ (h >> np.uint32(13))
    h = h * np.uint32(0xC2B2AE35)
    return np.asarray(h ^ (h >> np.uint32(16)))
