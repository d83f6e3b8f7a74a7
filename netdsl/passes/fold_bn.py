"""A batch norm behind a linear layer moves into the layer's weights.

    y = conv(x, w, b);  z = bn(y)          z = conv(x, w', b')

With s = gamma / sqrt(var + eps) and t = beta - mean * s, a number each for every output channel o:

    bn(y)[o] = s[o] * y[o] + t[o] = (s[o] * w[o]) * x + (s[o] * b[o] + t[o])

so w'[o] = s[o] * w[o] and b' = s * b + t (t alone without bias). The same for ``fc``, for ``deconv`` (its
output channels are the second axis of w, by group) and with groups. Padding plays no part.

Refused: in a training graph (statistics come from the batch there); when someone else needs y; when
the weight serves another layer too, for it would be stored twice where a fused epilogue costs nothing.
"""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.graph import Graph, Node
from netdsl.ir.scalar import Var
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.sweep import Sweep
from netdsl.passes.weights import scale_and_shift, scale_second_axis, weight_map
from netdsl.record import record

_LINEAR = frozenset({"conv", "deconv", "fc"})


@record
class FoldBn(Pass):
    """See the module."""

    name: ClassVar[str] = "fold_bn"

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        for bn in sweep:
            if bn.op != "bn" or bn.inputs[0].node.op not in _LINEAR:
                continue
            layer = bn.inputs[0].node
            if reason := _objection(sweep, layer, bn, log.training):
                log.refused(bn, reason)
                continue
            log.rewrote([layer, bn], f"scale and shift moved into the weights of {layer.name}")
            _fold(sweep, layer, bn)


def _objection(sweep: Sweep, layer: Node, bn: Node, training: bool) -> str | None:
    if training:
        return "training graph: the batch sets the statistics"
    if layer.epilogue:
        return f"{layer.name} already ends in {layer.epilogue.expr}"
    return sweep.other_reader(layer.output, bn) or sweep.other_reader(layer.inputs[1], layer)


def _fold(sweep: Sweep, layer: Node, bn: Node) -> None:
    build = sweep.build
    layer.spans = build.spans = union_of_spans([layer, bn])
    x, weight, *bias = layer.inputs
    scale, shift = scale_and_shift(build, bn)
    name = f"{layer.name}.folded_weight"
    if layer.op == "deconv":
        weight = scale_second_axis(build, name, weight, scale, layer.attrs["groups"])
    else:
        weight = weight_map(build, name, Var(0) * Var(1), weight, scale)
    if bias:
        shift = weight_map(build, f"{layer.name}.folded_bias", Var(0) * Var(1) + Var(2), *bias, scale, shift)
    sweep.bring_down(layer)
    sweep.rewire(layer, [x, weight, shift])
    layer.attrs = {**layer.attrs, "bias": True}
    sweep.replace(bn, [layer.output])
