"""Targets that are shares of classes instead of class numbers, for training on mixed samples.

    label: class ─ cross_entropy(logits, label)    ->    label: [C] ─ likelihood(log_softmax(logits), label) * C

Only the loss changes, and only in training; metrics and the test set go on with class numbers.
"""

from __future__ import annotations

from collections.abc import Collection

from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.types import TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import Call, get

MIXUP = "mixup"
"""The augmentation that mixes samples."""


def readers(graph: Graph, loss: Value, target: Value) -> list[tuple[Node, int]]:
    """What reads a target on the way to the loss, and as which operand."""
    needed = _needed(graph, loss)
    return [(node, operand) for node, operand in graph.uses().get(target, []) if node in needed]


def shares_type(node: Node, operand: int) -> TensorType | None:
    """The type of shares that a node takes in the place of class numbers, if it takes any."""
    return get(node.op).shares_type(Call.of(node), operand)


def with_soft_targets(graph: Graph, loss: Value, names: Collection[str]) -> tuple[Graph, Value]:
    """A copy in which the targets ``names`` are shares of classes, with what the loss needs and all inputs; and the
    loss in it. Without names, the graph as it is.

    Raises ValueError for a target that nothing reads, or something that does not take shares.
    """
    if not names:
        return graph, loss
    soft = {graph.node(name): _type_of(graph, loss, graph.node(name)) for name in names}
    needed = _needed(graph, loss)
    result = Graph(graph.name)
    build = GraphBuilder(result, infer_types)
    table: dict[Value, Value] = {}
    for node in graph.nodes:
        if node not in needed and node.op != "input":
            continue
        inputs = [table[value] for value in node.inputs]
        build.spans = node.spans
        if node in soft:
            table[node.output] = build.input(node.name, soft[node])
        elif any(value.node in soft for value in node.inputs):
            table[node.output] = get(node.op).with_shares(build, node, inputs)
        else:
            twin = Node(node.op, node.name, inputs, dict(node.attrs), node.types, node.spans)
            table.update(zip(node.outputs, result.add(twin).outputs, strict=True))
    result.outputs = {name: table[value] for name, value in graph.outputs.items() if value in table}
    return result, table[loss]


def _type_of(graph: Graph, loss: Value, target: Node) -> TensorType:
    found = {shares_type(node, operand) for node, operand in readers(graph, loss, target.output)}
    [type] = found if len(found) == 1 else [None]
    if type is None:
        raise ValueError(f"{target.name} cannot be shares of classes")
    return type


def _needed(graph: Graph, loss: Value) -> set[Node]:
    needed = {loss.node}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(value.node for value in node.inputs)
    return needed
