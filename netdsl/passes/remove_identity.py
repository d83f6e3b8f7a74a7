"""Layers that return their operand unchanged disappear.

    y = identity(x)                                     y -> x
    y = dropout(x)                                      y -> x   (at inference; with p = 0 always)
    y = flatten(x) of [F], reshape(x) to x's own shape  y -> x
    y = crop(x) by 0, pad(x) by 0, slice(x) of all      y -> x
    y = upsample(x, 1)                                  y -> x
    y = concat(x), add(x), mul(x)                       y -> x
    y = maxpool(x, 1x1), avgpool(x, 1x1)                y -> x   (stride 1)

An op that only moves elements of one operand, and gives a result of the operand's own type, has moved
none, so nothing needs a look at its arguments but the window of a pool.
"""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.graph import SOURCES, Graph, Node
from netdsl.passes.base import Log, Pass
from netdsl.passes.sweep import Sweep
from netdsl.record import record

_KEEPS_VALUES = frozenset(
    {"identity", "dropout", "flatten", "reshape", "crop", "pad", "slice", "upsample", "concat", "add", "mul"}
)
_POOLS = frozenset({"maxpool", "avgpool"})


@record
class RemoveIdentity(Pass):
    """See the module."""

    name: ClassVar[str] = "remove_identity"

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        for node in sweep:
            if not returns_operand(node):
                continue
            if reason := _objection(sweep, node, log.training):
                log.refused(node, reason)
                continue
            log.rewrote([node], f"is {node.inputs[0].name} unchanged")
            sweep.replace(node, [node.inputs[0]])


def returns_operand(node: Node) -> bool:
    """Whether the result is the operand, element for element (dropout taken as at inference)."""
    if len(node.inputs) != 1 or node.epilogue or node.types != (node.inputs[0].type,):
        return False
    if node.op in _POOLS:
        return bool(node.attrs["kernel"] == (1, 1))
    return node.op in _KEEPS_VALUES


def _objection(sweep: Sweep, node: Node, training: bool) -> str | None:
    if training and node.op == "dropout" and node.attrs["p"] > 0:
        return "training graph: it drops values here"
    names = sweep.result_names(node.output)
    source = node.inputs[0].node
    if names and source.op in SOURCES:
        return f"{names[0]} would be the {source.op} {source.name}, which no layer computes"
    return None
