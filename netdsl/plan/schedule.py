"""The order in which nodes run."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ops.base import get


def schedule(graph: Graph) -> list[Node]:
    """The computing nodes in run order.

    The graph's own order, except that a parameter's update runs as soon as everything it needs is there and
    everybody else has read the old value: then it can overwrite the parameter, and gradients die young. What is done
    to a gradient on the way there runs as soon as the gradient is. (Running statistics are written by layers, whose
    results others wait for anyway.)
    """
    uses = graph.uses()
    key = {id(node): float(index) for index, node in enumerate(graph.nodes)}
    params = {node.name: node for node in graph.params}
    updated: dict[int, list[Node]] = {}
    for name, value in graph.updates.items():
        updated.setdefault(id(value.node), []).append(params[name])
    between = _between(graph, set(updated))
    for node in graph.nodes:
        owned = updated.get(id(node), [])
        if owned and (get(node.op).late or (_is_read(node, uses) and not get(node.op).flat)):
            continue
        if owned or id(node) in between:
            needs = [key[id(value.node)] for value in node.inputs]
            readers = [
                key[id(reader)] for param in owned for reader, _ in uses.get(param.output, []) if reader is not node
            ]
            key[id(node)] = min(key[id(node)], floor(max([*needs, *readers], default=0.0)) + 0.5)
    position = {id(node): index for index, node in enumerate(graph.nodes)}
    ordered = sorted(graph.nodes, key=lambda node: (key[id(node)], position[id(node)]))
    return [node for node in ordered if node.op not in SOURCES]


def _is_read(node: Node, uses: Mapping[Value, object]) -> bool:
    return any(output in uses for output in node.outputs)


def _between(graph: Graph, updating: set[int]) -> set[int]:
    """Identities of element-by-element nodes over whole weights that only updates read, or other such nodes."""
    outputs = set(graph.outputs.values())
    uses = graph.uses()
    found: set[int] = set()
    for node in reversed(graph.nodes):
        if node.op != "map" or node.types[0].batched or node.output in outputs:
            continue
        readers = uses.get(node.output, [])
        if readers and all(id(reader) in updating or id(reader) in found for reader, _ in readers):
            found.add(id(node))
    return found


def load_time_nodes(graph: Graph) -> set[int]:
    """Identities of nodes whose value is known when weights are loaded.

    In an inference graph that is everything computed from parameters and constants only; in a training
    graph parameters change, so only constants count.
    """
    roots = ("const",) if graph.updates else ("const", "param")
    known: set[int] = set()
    for node in graph.nodes:
        if node.op in roots or (
            node.op not in SOURCES and node.inputs and all(id(value.node) in known for value in node.inputs)
        ):
            known.add(id(node))
    return known
