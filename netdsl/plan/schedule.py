"""The order in which nodes run."""

from __future__ import annotations

from netdsl.ir.graph import SOURCES, Graph, Node


def schedule(graph: Graph) -> list[Node]:
    """The computing nodes in run order.

    The graph's own order, except that a parameter's update runs as soon as everything it needs is there and
    everybody else has read the old value: then it can overwrite the parameter, and gradients die young.
    """
    position = {id(node): index for index, node in enumerate(graph.nodes)}
    uses = graph.uses()
    key = {id(node): float(index) for index, node in enumerate(graph.nodes)}
    params = {node.name: node for node in graph.params}
    updated: dict[int, list[Node]] = {}
    writers: dict[int, Node] = {}
    for name, value in graph.updates.items():
        updated.setdefault(id(value.node), []).append(params[name])
        writers[id(value.node)] = value.node
    for ident, owned in updated.items():
        writer = writers[ident]
        if any(output in uses for output in writer.outputs):
            continue
        needs = [position[id(value.node)] for value in writer.inputs]
        readers = [
            position[id(reader)] for param in owned for reader, _ in uses.get(param.output, []) if reader is not writer
        ]
        key[ident] = max([*needs, *readers]) + 0.5
    ordered = sorted(graph.nodes, key=lambda node: (key[id(node)], position[id(node)]))
    return [node for node in ordered if node.op not in SOURCES]


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
