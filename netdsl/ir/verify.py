"""What must be true of every graph, checked between passes in tests and under ``--verify``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netdsl.ir.builder import InferTypes
from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.scalar import variables
from netdsl.ir.types import TensorType


def graph_errors(graph: Graph, infer: InferTypes | None = None) -> list[str]:
    """Everything wrong with a graph, in plain words; empty when it is sound.

    With ``infer`` (``netdsl.ops.infer_types``) the recorded types are compared to those the ops infer again.
    """
    errors = [*_names(graph), *_order(graph), *_results(graph)]
    for node in graph.nodes:
        errors += _operands(node)
        errors += _epilogue(node)
    if not errors and infer is not None:
        for node in graph.nodes:
            errors += _types(node, infer)
    return errors


def _names(graph: Graph) -> Iterator[str]:
    for name, count in Counter(node.name for node in graph.nodes).items():
        if count > 1:
            yield f"{count} nodes are named {name}"


def _order(graph: Graph) -> Iterator[str]:
    """Every operand stands before its reader; where none can, the cycle is named."""
    position = {id(node): index for index, node in enumerate(graph.nodes)}
    if len(position) < len(graph.nodes):
        yield "a node stands in the graph twice"
        return
    late = []
    for index, node in enumerate(graph.nodes):
        for value in node.inputs:
            if id(value.node) not in position:
                yield f"{node.name} reads {value.name}, which is not in the graph"
            elif position[id(value.node)] >= index:
                late.append(f"{node.name} stands before its operand {value.name}")
    yield from late
    if late:
        yield from _cycle(graph, position)


def _cycle(graph: Graph, position: dict[int, int]) -> Iterator[str]:
    import networkx

    try:
        edges = networkx.find_cycle(graph.to_networkx())
    except networkx.NetworkXNoCycle:
        return
    names = [graph.nodes[position[edge[0]]].name for edge in edges if edge[0] in position]
    yield f"cycle: {' -> '.join([*names, *names[:1]])}"


def _results(graph: Graph) -> Iterator[str]:
    inside = {id(node) for node in graph.nodes}
    params = {node.name: node for node in graph.params}
    for kind, table in (("output", graph.outputs), ("update", graph.updates)):
        for name, value in table.items():
            if id(value.node) not in inside:
                yield f"{kind} {name} is {value.name}, which is not in the graph"
            elif not _exists(value):
                yield f"{kind} {name} is result {value.index} of {value.node.name}, which has {len(value.node.types)}"
    for name, value in graph.updates.items():
        if name not in params:
            yield f"update {name} is of no parameter"
        elif _exists(value) and value.type != params[name].output.type:
            yield f"update {name} is {value.type}, the parameter {params[name].output.type}"


def _exists(value: Value) -> bool:
    return 0 <= value.index < len(value.node.types)


def _operands(node: Node) -> Iterator[str]:
    if node.op in SOURCES and node.inputs:
        yield f"{node.op} {node.name} has operands"
    if node.op == "param" and node.types[0].batched:
        yield f"param {node.name} is batched"
    for position, value in enumerate(node.inputs):
        if not _exists(value):
            yield f"operand {position} of {node.name} is result {value.index} of {value.node.name}"


def _epilogue(node: Node) -> Iterator[str]:
    epilogue = node.epilogue
    if epilogue is None:
        return
    if not 0 <= epilogue.operands <= len(node.inputs):
        yield f"the epilogue of {node.name} reads {epilogue.operands} of {len(node.inputs)} operands"
        return
    unknown = [index for index in variables(epilogue.expr) if index > epilogue.operands]
    if unknown:
        yield f"the epilogue of {node.name} reads x{min(unknown)}, it has {epilogue.operands} operands"
    for value in node.epilogue_inputs:
        if _exists(value) and not _broadcasts(value.type, node.types[0]):
            yield f"epilogue operand {value.name} {value.type} of {node.name} does not broadcast to {node.types[0]}"


def _broadcasts(type: TensorType, result: TensorType) -> bool:
    fits = all(size in (1, full) for size, full in zip(type.shape, result.shape, strict=False))
    return fits and len(type.shape) <= len(result.shape) and type.batched <= result.batched


def _types(node: Node, infer: InferTypes) -> Iterator[str]:
    if node.op in SOURCES:
        return
    try:
        _, types = infer(node.op, node.attrs, [value.type for value in node.main_inputs])
    except Exception as error:  # whatever a type rule raises is a finding here
        yield f"{node.op} {node.name} has no type: {error or type(error).__name__}"
        return
    if types != node.types:
        yield f"{node.op} {node.name} is recorded as {_list(node.types)}, but gives {_list(types)}"


def _list(types: tuple[TensorType, ...]) -> str:
    return ", ".join(map(str, types))
