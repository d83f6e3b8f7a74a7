"""Cutting a loss off a net, so that testing counts every sample exactly once.

    net -> logits ─┐                        net -> logits            (compiled, full batches)
           label ──┴─ cross_entropy -> ...  logits, label -> loss    (NumPy, only the samples that count)

Everything that works on each sample by itself stays in the first graph; the second begins where values of a
batch become one number. So a batch that was filled up can be measured without what fills it, at one batch size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netdsl.ir.graph import Graph, Node, Value


@dataclass(frozen=True)
class SplitLoss:
    """``forward`` has the outputs named in ``scores`` and those that ``tail`` has as inputs; ``tail`` has
    one output for each loss. Inputs of the net that ``tail`` needs are inputs of it under their own names."""

    forward: Graph
    tail: Graph
    scores: Mapping[Value, str]


def split_loss(graph: Graph, losses: Mapping[str, Value], wanted: Iterable[Value]) -> SplitLoss:
    """Split ``graph`` at the reductions of ``losses``, each one number a batch; ``wanted`` are further
    values that the first part must give."""
    needed = _ancestors(losses.values())
    tail = Graph(f"{graph.name}.loss")
    table: dict[Value, Value] = {}
    outputs: dict[str, Value] = {}
    for node in graph.nodes:
        if node not in needed or any(type.batched for type in node.types):
            continue
        for value in node.inputs:
            if value not in table:
                table[value] = _enter(tail, value, outputs)
        inputs = [table[value] for value in node.inputs]
        twin = Node(node.op, node.name, inputs, dict(node.attrs), node.types, node.spans, node.epilogue)
        table.update(zip(node.outputs, tail.add(twin).outputs, strict=True))
    tail.outputs = {name: table[loss] for name, loss in losses.items()}
    tail.prune()
    used = {node.name for node in tail.inputs}
    return _with_forward(graph, tail, {n: v for n, v in outputs.items() if n in used}, wanted)


def _enter(tail: Graph, value: Value, outputs: dict[str, Value]) -> Value:
    """An input of the tail for a batched value: the net's own input, or an output of the forward part."""
    if value.node.op == "input":
        name = value.node.name
    else:
        name = f"tail.{value.name}"
        outputs[name] = value
    return tail.add(Node("input", name, [], {}, (value.type,), value.node.spans)).output


def _with_forward(graph: Graph, tail: Graph, outputs: dict[str, Value], wanted: Iterable[Value]) -> SplitLoss:
    scores = {}
    for value in wanted:
        scores[value] = f"tail.{value.name}"
        outputs[scores[value]] = value
    forward, table = graph.copy()
    forward.outputs = {name: table[value] for name, value in outputs.items()}
    forward.updates = {}
    forward.prune()
    read = {value.node for node in forward.nodes for value in node.inputs}
    forward.remove([node for node in forward.inputs if node not in read])
    return SplitLoss(forward, tail, scores)


def _ancestors(values: Iterable[Value]) -> set[Node]:
    found: set[Node] = set()
    stack = [value.node for value in values]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(operand.node for operand in node.inputs)
    return found
