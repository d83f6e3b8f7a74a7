"""One walk over a graph that rewrites it on the way, in linear time.

Editing a node list in place costs a search and a recount of readers at every match. A sweep instead
walks the old list once and builds the new one: a pass looks at each node with its operands already
replaced, and may drop it, put new nodes before it, or bring an earlier node down to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Epilogue, Graph, Node, Value
from netdsl.ops import infer_types


class Sweep:
    """Iterate to visit the nodes; the graph changes when the iteration ends.

    The iteration must run to its end. All edits concern the node being visited and nodes before it.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.build: GraphBuilder = _SweepBuilder(self)
        self._placed: list[Node | None] = []
        self._index: dict[int, int] = {}
        self._indexed = 0
        self._instead: dict[Value, Value] = {}
        self._results: dict[Value, list[str]] = {}
        for name, value in graph.outputs.items():
            self._results.setdefault(value, []).append(f"output {name!r}")
        for name, value in graph.updates.items():
            self._results.setdefault(value, []).append(f"the new value of {name!r}")
        self._settled = self._touched = False

    # -- walking ---------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Node]:
        for node in self.graph.nodes:
            if self._instead:
                node.inputs = [self.current(value) for value in node.inputs]
            self._settled = False
            yield node
            if not self._settled:
                self._placed.append(node)
        if self._touched:
            self._finish()

    def _finish(self) -> None:
        graph = self.graph
        graph.nodes = [node for node in self._placed if node is not None]
        graph.outputs = {name: self.current(value) for name, value in graph.outputs.items()}
        graph.updates = {name: self.current(value) for name, value in graph.updates.items()}
        graph.prune()

    def current(self, value: Value) -> Value:
        """What stands for ``value`` by now."""
        while value in self._instead:
            value = self._instead[value]
        return value

    # -- asking ----------------------------------------------------------------------------

    def position(self, node: Node) -> int:
        """Place of an already visited node in the new order."""
        self._index_placed()
        return self._index[id(node)]

    def _index_placed(self) -> None:
        for index in range(self._indexed, len(self._placed)):
            placed = self._placed[index]
            if placed is not None:
                self._index[id(placed)] = index
        self._indexed = len(self._placed)

    def _is_placed(self, node: Node) -> bool:
        self._index_placed()
        index = self._index.get(id(node))
        return index is not None and self._placed[index] is node

    @cached_property
    def _readers(self) -> dict[Value, list[Node]]:
        """Made at the first question or edit, so that a pass without a match costs next to nothing."""
        self._touched = True
        readers: dict[Value, list[Node]] = {}
        for node in self.graph.nodes:
            for value in node.inputs:
                readers.setdefault(value, []).append(node)
        return readers

    def readers(self, value: Value) -> list[Node]:
        """Nodes that read ``value``, once for every operand."""
        return self._readers.get(value, [])

    def result_names(self, value: Value) -> list[str]:
        """Outputs and parameter updates that are ``value``."""
        return self._results.get(value, [])

    def other_reader(self, value: Value, reader: Node) -> str | None:
        """Who needs ``value`` beside ``reader``, in words; None when nobody does."""
        if names := self.result_names(value):
            return f"{value.name} is {names[0]}"
        for other in self.readers(value):
            if other is not reader:
                return f"{value.name} is also read by {other.name}"
        return None

    def earlier_reader(self, values: Sequence[Value]) -> str | None:
        """Which node that was visited already reads one of ``values``, in words: their node can't move behind it."""
        for value in values:
            for reader in self.readers(value):
                if self._is_placed(reader):
                    return f"{value.name} is read by {reader.name} before"
        return None

    # -- editing ---------------------------------------------------------------------------

    def replace(self, node: Node, values: Sequence[Value]) -> None:
        """Drop the node being visited; whoever reads its results reads ``values`` instead."""
        self._settled = True
        for value in node.inputs:
            self._readers[value].remove(node)
        for old, new in zip(node.outputs, values, strict=True):
            self._instead[old] = new
            self._readers.setdefault(new, []).extend(self._readers.pop(old, []))
            self._results.setdefault(new, []).extend(self._results.pop(old, []))

    def bring_down(self, node: Node) -> None:
        """Move an earlier node to just before the one being visited (nobody between may read it)."""
        self._touched = True
        self._placed[self.position(node)] = None
        self._placed.append(node)

    def discard(self, node: Node) -> None:
        """Drop an earlier node whose only reader is about to be replaced."""
        self._placed[self.position(node)] = None
        for value in node.inputs:
            self._readers[value].remove(node)

    def rewire(self, node: Node, inputs: Sequence[Value], epilogue: Epilogue | None = None) -> None:
        """Give a node other operands."""
        for value in node.inputs:
            self._readers[value].remove(node)
        for value in inputs:
            self._readers.setdefault(value, []).append(node)
        node.inputs, node.epilogue = list(inputs), epilogue

    def insert(self, node: Node) -> None:
        """Place a new node just before the one being visited."""
        self._touched = True
        self.graph.claim_name(node)
        for value in node.inputs:
            self._readers.setdefault(value, []).append(node)
        self._placed.append(node)


class _SweepBuilder(GraphBuilder):
    """Infers types and places nodes at the sweep's position."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(sweep.graph, infer_types)
        self._sweep = sweep

    def place(self, node: Node) -> Node:
        self._sweep.insert(node)
        return node
