"""How many threads a graph is worth."""

from __future__ import annotations

from netdsl.ir.graph import Graph
from netdsl.ops.base import Call, get

LIGHT = 2_000_000
"""Operations, and bytes of weights, of a run too short to share: some 20 microseconds. Waking and awaiting another
thread takes a few of them where a core is free, and a thousand where none is."""


def is_light(graph: Graph, batch: int, limit: int) -> bool:
    """Whether a run has fewer operations, as the ops define their results, and bytes of weights than ``limit``."""
    work = 4 * sum(node.output.type.elements for node in graph.params)
    for node in graph.layers:
        if work >= limit:
            return False
        work += get(node.op).cost(Call.of(node)).flops * batch
    return work < limit
