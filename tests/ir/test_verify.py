from __future__ import annotations

from collections.abc import Callable

import pytest

from netdsl.ir.graph import Epilogue, Graph, Node, Value
from netdsl.ir.scalar import Var
from netdsl.ir.types import TensorType
from netdsl.ops import builder, verify
from netdsl.ops.base import Init


def sound() -> Graph:
    graph = Graph("sound")
    build = builder(graph)
    x = build.input("x", TensorType((4, 2, 2)))
    w = build.param("w", (4,), {"init": Init("zeros")})
    a = build.op("relu", [x], name="a").output
    b = build.op("mul", [a, w], name="b").output
    total = build.op("sum_to", [b], {"shape": (4,), "batched": False}, name="s").output
    graph.outputs, graph.updates = {"b": b}, {"w": total}
    return graph


def test_a_sound_graph() -> None:
    assert verify(sound()) == []


def rename(graph: Graph) -> None:
    graph.node("b").name = "a"


def swap(graph: Graph) -> None:
    graph.nodes[2], graph.nodes[3] = graph.nodes[3], graph.nodes[2]


def cycle(graph: Graph) -> None:
    graph.node("a").inputs[0] = graph.node("b").output


def remove_operand(graph: Graph) -> None:
    graph.remove([graph.node("a")])


def remove_result(graph: Graph) -> None:
    graph.remove([graph.node("s")])


def wrong_index(graph: Graph) -> None:
    graph.node("b").inputs[1] = Value(graph.node("w"), 1)


def wrong_type(graph: Graph) -> None:
    graph.node("a").types = (TensorType((4, 2, 3)),)


def wrong_update(graph: Graph) -> None:
    graph.updates["w"] = graph.node("a").output


def unknown_update(graph: Graph) -> None:
    graph.updates["v"] = graph.node("s").output


def no_type(graph: Graph) -> None:
    graph.node("w").types = (TensorType((5,), False),)
    graph.updates = {}


def epilogue_reads_too_much(graph: Graph) -> None:
    node = graph.node("b")
    node.inputs.append(graph.node("w").output)
    node.epilogue = Epilogue(Var(0) + Var(2), 1)


def epilogue_too_wide(graph: Graph) -> None:
    node = graph.node("s")
    node.inputs.append(graph.node("a").output)
    node.epilogue = Epilogue(Var(0) + Var(1), 1)


def source_with_operands(graph: Graph) -> None:
    graph.node("w").inputs.append(graph.node("x").output)


def twice(graph: Graph) -> None:
    graph.nodes.append(graph.node("b"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (rename, "2 nodes are named a"),
        (swap, "b stands before its operand a"),
        (cycle, "cycle: "),
        (remove_operand, "b reads a, which is not in the graph"),
        (remove_result, "update w is s, which is not in the graph"),
        (wrong_index, "operand 1 of b is result 1 of w"),
        (wrong_type, "relu a is recorded as [4, 2, 3], but gives [4, 2, 2]"),
        (wrong_update, "update w is [4, 2, 2], the parameter const [4]"),
        (unknown_update, "update v is of no parameter"),
        (no_type, "mul b has no type"),
        (epilogue_reads_too_much, "the epilogue of b reads x2, it has 1 operands"),
        (epilogue_too_wide, "epilogue operand a [4, 2, 2] of s does not broadcast to const [4]"),
        (source_with_operands, "param w has operands"),
        (twice, "a node stands in the graph twice"),
    ],
)
def test_damage_is_named(damage: Callable[[Graph], None], message: str) -> None:
    graph = sound()
    damage(graph)
    assert any(message in error for error in verify(graph)), verify(graph)


def test_a_node_without_an_op() -> None:
    graph = sound()
    graph.add(Node("nonsense", "n", [graph.node("a").output], {}, (TensorType(()),)))
    assert any("nonsense n has no type" in error for error in verify(graph))
