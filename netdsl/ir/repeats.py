"""Nodes that compute again what another has computed (``Node.repeats``), so that it need not be kept."""

from __future__ import annotations

from netdsl.ir.graph import Graph, Node, Value


def repeated_nodes(graph: Graph) -> list[Node]:
    """The nodes that repeat others, in the graph's order."""
    return [node for node in graph.nodes if node.repeats is not None]


def origin_of(value: Value) -> tuple[str, int]:
    """Name and result number of the value that this one is, or repeats: equal for values of equal bits."""
    return value.node.repeats or value.node.name, value.index


def without_repeats(graph: Graph) -> Graph:
    """A copy in which everything is computed once and kept; the other nodes stand in their order."""
    twin, _ = graph.copy()
    by_name = {node.name: node for node in twin.nodes}

    def first(value: Value) -> Value:
        name, index = origin_of(value)
        return by_name[name].outputs[index]

    for node in twin.nodes:
        node.inputs = [first(value) for value in node.inputs]
    twin.outputs = {name: first(value) for name, value in twin.outputs.items()}
    twin.updates = {name: first(value) for name, value in twin.updates.items()}
    twin.remove(repeated_nodes(twin))
    return twin
