"""Two convolutions in a row, one of them 1x1 and nothing between, become one when that is cheaper.

    y = conv(x, w1, b1);  z = conv(y, w2, b2)          z = conv(x, w2∘w1, w2·b1 + b2)

    (w2∘w1)[o, i, k] = sum over m of w2[o, m, k2] * w1[m, i, k1],   k = k1 when w2 is 1x1, k = k2 when w1 is

k x k, then 1x1 without padding: exact for any padding and stride of the first; strides multiply, for
every s2-th of every s1-th position is every (s1*s2)-th.

1x1 at stride 1 without padding, then k x k: the second's stride, padding and dilation stay. With padding and
a bias b1 it is not exact: the second pads y with zeros, where y of a zero pixel would be b1. Refused.

Also refused: groups (the product would be dense), a middle value someone else needs, a weight that serves
another layer too, and a product that takes at least as many multiplications as the two did (O*I*k*k
against M*(I*k1*k1 + O*k2*k2) a position, when no stride changes the sizes).
"""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.scalar import Var
from netdsl.ir.types import TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import Call, get
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.sweep import Sweep
from netdsl.passes.weights import weight_map
from netdsl.record import record


@record
class Compose1x1(Pass):
    """See the module."""

    name: ClassVar[str] = "compose_1x1"

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        for second in sweep:
            first = second.inputs[0].node if second.inputs else second
            if (first.op, second.op) != ("conv", "conv"):
                continue
            if not (is_1x1(first) or is_1x1(second)):
                continue
            if reason := _objection(sweep, first, second, log.training):
                log.refused(second, reason)
                continue
            log.rewrote([first, second], f"one convolution instead of two: {_macs_text(first, second)}")
            _compose(sweep, first, second)


def is_1x1(conv: Node) -> bool:
    return tuple(conv.attrs["kernel"]) == (1, 1)


def _objection(sweep: Sweep, first: Node, second: Node, training: bool) -> str | None:
    if training:
        return "training graph: both weights are trained"
    if first.epilogue:
        return f"{first.name} already ends in {first.epilogue.expr}"
    if first.attrs["groups"] > 1 or second.attrs["groups"] > 1:
        return "a grouped convolution has no dense product of the same size"
    if is_1x1(second):
        if any(second.attrs["pad"]):
            return f"{second.name} pads a 1x1 window"
    elif first.attrs["stride"] != (1, 1) or any(first.attrs["pad"]):
        return f"{first.name} has stride or padding before a larger kernel"
    elif any(second.attrs["pad"]) and first.attrs["bias"]:
        return f"{second.name} pads with zeros, where the bias of {first.name} belongs"
    shared = [sweep.other_reader(layer.inputs[1], layer) for layer in (first, second)]
    reason = sweep.other_reader(first.output, second) or shared[0] or shared[1]
    if reason:
        return reason
    product, separate = _macs(first, second)
    return f"the product is not cheaper: {_macs_text(first, second)}" if product >= separate else None


def _composed_attrs(first: Node, second: Node) -> dict[str, Any]:
    """Arguments of the one convolution: those of the one with the window, and the strides together."""
    window = first if is_1x1(second) else second
    stride = tuple(a * b for a, b in zip(first.attrs["stride"], second.attrs["stride"], strict=True))
    bias = first.attrs["bias"] or second.attrs["bias"]
    channels = second.attrs["channels"]
    return {**window.attrs, "channels": channels, "stride": stride, "bias": bias, "round": "floor"}


def _macs(first: Node, second: Node) -> tuple[int, int]:
    """(of the product, of the two)."""
    middle, (out, *_) = first.inputs[1].type.shape[1], second.inputs[1].type.shape
    window = first if is_1x1(second) else second
    weight = TensorType((out, middle, *window.inputs[1].type.shape[2:]), False)
    inputs = (first.inputs[0].type, weight)
    attrs, types = infer_types("conv", _composed_attrs(first, second), inputs)
    assert types == second.types, (types, second.types)
    separate = sum(get("conv").cost(Call.of(node)).macs for node in (first, second))
    return get("conv").cost(Call(attrs, inputs, types)).macs, separate


def _macs_text(first: Node, second: Node) -> str:
    product, separate = _macs(first, second)
    return f"{product} multiply-accumulates against {separate}"


def _compose(sweep: Sweep, first: Node, second: Node) -> None:
    build = sweep.build
    build.spans = union_of_spans([first, second])
    x, weight1, *bias1 = first.inputs
    _, weight2, *bias2 = second.main_inputs
    weight = build.op("compose_weights", [weight2, weight1], name=f"{first.name}.composed_weight").output
    bias = _composed_bias(build, first, weight2, bias1, bias2)
    first.attrs = _composed_attrs(first, second)
    first.types, first.spans = second.types, build.spans
    sweep.bring_down(first)
    sweep.rewire(first, [x, weight, *bias, *second.epilogue_inputs], second.epilogue)
    sweep.replace(second, [first.output])


def _composed_bias(
    build: GraphBuilder, first: Node, weight2: Value, bias1: list[Value], bias2: list[Value]
) -> list[Value]:
    """w2·b1 + b2, as far as there are such."""
    if not bias1:
        return bias2
    response = build.op("weight_response", [weight2, *bias1], {"groups": 1}, name=f"{first.name}.bias_response")
    if not bias2:
        return [response.output]
    name = f"{first.name}.composed_bias"
    return [weight_map(build, name, Var(0) + Var(1), response.output, *bias2)]
