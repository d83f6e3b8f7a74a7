"""Convolutions of some channels of one value, concatenated, become one convolution of all its channels.

    a = conv(x[0..2], wa, ba)                         y = conv(x, [wa 0; 0 wb], [ba; bb])
    b = conv(x[2..4], wb, bb)
    y = concat(a, b)

LeNet's table of connections is such: every map of its result sees some maps before it. The one convolution has
weights of zero where there is no connection, so it does more multiplications; but a register holds ``align`` channels,
and convolutions of single maps leave most of it empty. It is done where fewer registers are multiplied in all: one for
every ``align`` channels of a result, times the channels it is computed from.

A NaN or an infinity then also reaches maps that do not see the channel it is in: 0 * NaN is NaN.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.sweep import Sweep
from netdsl.record import record


@record
class Seen:
    """Channels of ``source``, in order."""

    source: Value
    channels: tuple[int, ...]

    @staticmethod
    def of(value: Value) -> Seen:
        """Through slices and concatenations to the value they are all taken from."""
        node = value.node
        if node.op == "slice" and not node.epilogue:
            whole = Seen.of(node.inputs[0])
            return Seen(whole.source, whole.channels[node.attrs["start"] : node.attrs["stop"]])
        if node.op == "concat" and not node.epilogue:
            parts = [Seen.of(part) for part in node.inputs]
            if len({part.source for part in parts}) == 1:
                return Seen(parts[0].source, tuple(channel for part in parts for channel in part.channels))
        return Seen(value, tuple(range(value.type.shape[0])))


@record
class MergeMaps(Pass):
    """See the module. ``align`` is the number of channels in a register."""

    name: ClassVar[str] = "merge_maps"
    align: int = 16

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        for node in sweep:
            if node.op != "concat" or node.epilogue or not _are_alike(node):
                continue
            convs = [value.node for value in node.inputs]
            if reason := self._objection(sweep, node, convs, log.training):
                log.refused(node, reason)
            else:
                log.rewrote([*convs, node], f"one convolution instead of {len(convs)}")
                sweep.replace(node, [_merge(sweep.build, node, convs)])

    def _objection(self, sweep: Sweep, concat: Node, convs: Sequence[Node], training: bool) -> str | None:
        if training:
            return "training graph: each weight is trained"
        for conv in convs:
            reason = sweep.other_reader(conv.output, concat) or sweep.other_reader(conv.inputs[1], conv)
            if reason:
                return reason
        separate = sum(self._registers(conv) * conv.inputs[0].type.shape[0] for conv in convs)
        dense = self._registers(concat) * Seen.of(convs[0].inputs[0]).source.type.shape[0]
        if dense >= separate:
            return f"one convolution of all channels multiplies {dense} registers a weight, these {separate}"
        return None

    def _registers(self, node: Node) -> int:
        return -(-node.types[0].shape[0] // self.align)


def _are_alike(concat: Node) -> bool:
    """Whether convolutions are concatenated that differ in weights and in the channels of one value they see."""
    nodes = [value.node for value in concat.inputs]
    if len(nodes) < 2 or any(node.op != "conv" or node.epilogue or node.attrs["groups"] > 1 for node in nodes):
        return False
    return len({_window(node) for node in nodes}) == len({Seen.of(node.inputs[0]).source for node in nodes}) == 1


def _window(conv: Node) -> Hashable:
    return tuple(conv.attrs[name] for name in ("kernel", "stride", "pad", "dilation"))


def _merge(build: GraphBuilder, concat: Node, convs: Sequence[Node]) -> Value:
    """The one convolution."""
    build.spans = union_of_spans([*convs, concat])
    source = Seen.of(convs[0].inputs[0]).source
    name = f"{concat.name}.merged"
    weights = [_spread(build, conv, source.type.shape[0]) for conv in convs]
    operands = [source, build.op("weight_concat", weights, name=f"{name}.weight").output]
    has_bias = any(conv.attrs["bias"] for conv in convs)
    if has_bias:
        operands.append(build.op("weight_concat", [_bias(build, conv) for conv in convs], name=f"{name}.bias").output)
    attrs = {**convs[0].attrs, "channels": concat.types[0].shape[0], "bias": has_bias}
    return build.op("conv", operands, attrs, name=name).output


def _spread(build: GraphBuilder, conv: Node, channels: int) -> Value:
    """The convolution's weight over all channels of the source."""
    seen = Seen.of(conv.inputs[0]).channels
    if seen == tuple(range(channels)):
        return conv.inputs[1]
    attrs = {"places": seen, "channels": channels}
    return build.op("weight_spread", [conv.inputs[1]], attrs, name=f"{conv.name}.spread_weight").output


def _bias(build: GraphBuilder, conv: Node) -> Value:
    if conv.attrs["bias"]:
        return conv.inputs[2]
    return build.constant(np.zeros(conv.types[0].shape[0]), name=f"{conv.name}.zero_bias")
