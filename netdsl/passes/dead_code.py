"""Nodes no output and no parameter update depends on disappear.

    a = conv(x, w1); b = conv(x, w2); output a          b, w2 -> nothing

Inputs stay: they are the signature of the network.
"""

from __future__ import annotations

from typing import ClassVar

from netdsl.ir.graph import Graph
from netdsl.passes.base import Log, Pass
from netdsl.record import record


@record
class DeadCode(Pass):
    """See the module."""

    name: ClassVar[str] = "dead_code"

    def run(self, graph: Graph, log: Log) -> None:
        for node in graph.prune():
            log.rewrote([node], "no result depends on it")
