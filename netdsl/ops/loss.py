"""Classification loss: softmax and negative log likelihood in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.scalar import Var
from netdsl.ir.types import DType, TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, OpDef, ReceptiveRule, ShapeError, register
from netdsl.ops.pointwise import require_channels
from netdsl.ops.softmax import log_softmax

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

SCALAR = TensorType((), False)
IGNORE = Arg("ignore", Kind.INT, None, doc="label whose positions don't count")
SMOOTH = Arg("smooth", Kind.FLOAT, 0.0, minimum=0, maximum=1, doc="part of the target that all classes share")


class Loss(OpDef):
    """One number for the whole batch."""

    def receptive(self, call: Call, operand: int) -> ReceptiveRule | None:
        return None


@register
class CrossEntropy(Loss):
    """Mean over samples and positions of ``-log softmax(logits)[label]``.

    logits: ``[C]`` or ``[C, H, W]``; label: class numbers ``[]`` or ``[H, W]``. With ``ignore = n``, positions
    whose label is n don't count (the mean is over the others; of none it is NaN). Any other label that is no
    channel makes the loss NaN. With ``smooth = s`` the target is ``1 - s`` for the label and ``s / C`` more for each of
    the C classes, so the loss ``-(1 - s) log p[label] - s / C sum log p`` (Szegedy et al., CVPR 2016).
    In training on samples that ``augment mixup`` mixed, labels are shares of classes: ``-sum share[c] log p[c]``.
    """

    name: ClassVar[str] = "cross_entropy"
    args: ClassVar[tuple[Arg, ...]] = (IGNORE, SMOOTH)
    operands: ClassVar[tuple[str, ...]] = ("logits", "label")

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        logits, label = inputs
        require_channels(self.name, logits)
        if label.dtype is not DType.I32:
            raise ShapeError(
                Code.WRONG_TYPE,
                "`cross_entropy` compares with class numbers",
                operand_notes={1: "these are not class numbers"},
                help="declare the target as `class`, or use `mse` or `bce`",
            )
        if label.shape != logits.shape[1:] or label.batched != logits.batched:
            raise ShapeError(
                Code.SHAPE_MISMATCH,
                "`cross_entropy` needs one label for each position of the logits",
                notes=(f"logits {logits} have positions {list(logits.shape[1:])}, labels have {list(label.shape)}",),
            )
        return (SCALAR,)

    def cost(self, call: Call) -> Cost:
        # An element: maximum, difference, exp, sum. A position: log, the label's difference, the mean's sum.
        # Smoothing: the differences' sum; of a position, two products and a difference.
        logits, label = call.inputs
        smooth = logits.elements + 3 * label.elements if call.attrs.get("smooth") else 0
        return Cost(flops=4 * logits.elements + 3 * label.elements + smooth)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        logits, label = arrays
        chosen, counted, valid = _select(logits, label, call)
        logs = log_softmax(logits, _axis(call))
        smooth = call.attrs.get("smooth", 0.0)
        mean = logs.mean(axis=_axis(call)) if smooth else 0
        logs = (1 - smooth) * np.where(chosen, logs, 0).sum(axis=_axis(call)) + smooth * mean
        terms = np.where(counted, np.where(valid, -logs, np.nan), 0)
        with np.errstate(invalid="ignore"):
            return [np.asarray(terms.sum() / terms.dtype.type(counted.sum()), dtype=logits.dtype)]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        if grads[0] is None:
            return [None, None]
        return [builder.op("cross_entropy_grad", [grads[0], *node.inputs], node.attrs).output, None]

    def shares_type(self, call: Call, operand: int) -> TensorType | None:
        logits, label = call.inputs
        if operand != 1 or call.attrs.get("ignore") is not None:
            return None
        return TensorType(logits.shape, label.batched)

    def with_shares(self, builder: GraphBuilder, node: Node, inputs: Sequence[Value]) -> Value:
        """``-sum shares[c] log softmax(logits)[c]``, the mean over samples and positions."""
        logits, shares = inputs
        classes, smooth = logits.type.shape[0], node.attrs.get("smooth", 0.0)
        if smooth:
            smoothed = (1.0 - smooth) * Var(0) + smooth / classes
            shares = builder.op("map", [shares], {"expr": smoothed}, name=f"{node.name}.smoothed").output
        logs = builder.op("log_softmax", [logits], name=f"{node.name}.logs").output
        mean = builder.op("likelihood", [logs, shares], name=f"{node.name}.mean").output
        return builder.op("map", [mean], {"expr": float(classes) * Var(0)}, name=node.name).output


@register
class CrossEntropyGrad(OpDef):
    """(g, logits, label) -> dlogits of ``cross_entropy``.

    ``g * (softmax(logits) - target) / counted positions``, the target being 1 for the label, or what ``smooth`` makes
    of it; 0 at ignored positions, NaN where the label is no channel.
    """

    name: ClassVar[str] = "cross_entropy_grad"
    args: ClassVar[tuple[Arg, ...]] = (IGNORE, SMOOTH)
    operands: ClassVar[tuple[str, ...]] = ("g", "logits", "label")
    internal: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        g, logits, label = inputs
        assert g == SCALAR and label.shape == logits.shape[1:] and label.dtype is DType.I32, inputs
        return (logits,)

    def cost(self, call: Call) -> Cost:
        # An element: a softmax's five and the factor. A position: the 1 taken from the label's channel.
        return Cost(flops=6 * call.outputs[0].elements + call.inputs[2].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        g, logits, label = arrays
        below = Call(call.attrs, call.inputs[1:])
        chosen, counted, valid = _select(logits, label, below)
        axis = _axis(below)
        smooth = call.attrs.get("smooth", 0.0)
        target = (1 - smooth) * chosen + smooth / logits.shape[axis]
        difference = np.exp(log_softmax(logits, axis)) - target
        difference = np.where(np.expand_dims(valid, axis), difference, np.nan)
        factor = g / logits.dtype.type(max(counted.sum(), 1))
        return [np.where(np.expand_dims(counted, axis), difference * factor, logits.dtype.type(0))]


def _axis(call: Call) -> int:
    return 1 if call.inputs[0].batched else 0


def _select(logits: Array, label: Array, call: Call) -> tuple[Array, Array, Array]:
    """Where a channel is the label's; which positions count; whose label is a channel."""
    axis = _axis(call)
    channels = logits.shape[axis]
    numbers = np.arange(channels).reshape(-1, *([1] * (logits.ndim - axis - 1)))
    chosen = numbers == np.expand_dims(label, axis)
    ignore = call.attrs.get("ignore")
    counted = np.ones(label.shape, bool) if ignore is None else label != ignore
    return chosen, np.asarray(counted), np.asarray((label >= 0) & (label < channels))
