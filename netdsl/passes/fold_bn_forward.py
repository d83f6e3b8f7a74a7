"""A batch norm in front of a convolution without padding moves into the convolution's weights.

    y = bn(x);  z = conv(y, w, b), pad 0          z = conv(x, w', b')

With s and t as in ``fold_bn``, a number each for every input channel i:

    conv(s*x + t)[o] = sum over i, k of w[o, i, k] * (s[i] * x[i] + t[i])
                     = sum over i, k of (w[o, i, k] * s[i]) * x[i]  +  sum over i of t[i] * sum over k of w[o, i, k]

so w'[o, i] = w[o, i] * s[i] and b'[o] is b[o] plus the response to the constant image t. Padding would put
zeros where bn(x) has t at the border, so any padding is refused. ``fc`` likewise, also behind a
``flatten``: feature c*H*W + p of [C, H, W] belongs to channel c, so w is seen as (O, C, H*W).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.scalar import Var
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.sweep import Sweep
from netdsl.passes.weights import reshaped, scale_and_shift, scale_second_axis, weight_map
from netdsl.record import record


@record
class FoldBnForward(Pass):
    """See the module."""

    name: ClassVar[str] = "fold_bn_forward"

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        for layer in sweep:
            chain = _chain(layer)
            if chain is None:
                continue
            bn = chain[0]
            if reason := _objection(sweep, chain, log.training):
                log.refused(bn, reason)
                continue
            log.rewrote([bn, layer], f"scale and shift moved into the weights of {layer.name}")
            _fold(sweep, chain)


def _chain(layer: Node) -> list[Node] | None:
    """[bn, layer] or [bn, flatten, fc]; None if this isn't the pattern."""
    if layer.op not in ("conv", "fc"):
        return None
    chain = [layer.inputs[0].node, layer]
    if layer.op == "fc" and chain[0].op == "flatten":
        chain.insert(0, chain[0].inputs[0].node)
    return chain if chain[0].op == "bn" else None


def _objection(sweep: Sweep, chain: list[Node], training: bool) -> str | None:
    if training:
        return "training graph: the batch sets the statistics"
    layer = chain[-1]
    if any(layer.attrs.get("pad", ())):
        return f"{layer.name} pads with zeros, where the shift belongs"
    for node, reader in pairwise(chain):
        if reason := sweep.other_reader(node.output, reader):
            return reason
    return sweep.other_reader(layer.inputs[1], layer)


def _fold(sweep: Sweep, chain: list[Node]) -> None:
    bn, layer = chain[0], chain[-1]
    build = sweep.build
    layer.spans = build.spans = union_of_spans(chain)
    _, weight, *bias = layer.main_inputs
    scale, shift = scale_and_shift(build, bn)
    scaled, response = _weights(build, layer, weight, scale, shift)
    if bias:
        response = weight_map(build, f"{layer.name}.folded_bias", Var(0) + Var(1), *bias, response)
    x = bn.inputs[0]
    if chain[1] is not layer:
        sweep.rewire(chain[1], [x])
        x = chain[1].output
    sweep.rewire(layer, [x, scaled, response, *layer.epilogue_inputs], layer.epilogue)
    layer.attrs = {**layer.attrs, "bias": True}


def _weights(build: GraphBuilder, layer: Node, weight: Value, scale: Value, shift: Value) -> tuple[Value, Value]:
    """(w', the response to t). The weight of ``fc`` is brought to (O, C, H*W) and back."""
    groups = layer.attrs.get("groups", 1)
    inner = scale.type.elements // groups
    shape = weight.type.shape if layer.op == "conv" else (weight.type.shape[0], inner, weight.type.shape[1] // inner)
    name = f"{layer.name}.folded_weight"
    by_channel = reshaped(build, f"{name}.by_channel", weight, shape)
    response = build.op("weight_response", [by_channel, shift], {"groups": groups}, name=f"{layer.name}.shift_response")
    scaled = scale_second_axis(build, name, by_channel, scale, groups)
    return reshaped(build, f"{name}.flat", scaled, weight.type.shape), response.output
