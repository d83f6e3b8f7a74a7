"""Which values lie in a weight layout rather than in the blocked layout of activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from netdsl.ir.graph import Graph, Node, Value
from netdsl.ops.base import get
from netdsl.ops.pointwise import Pointwise
from netdsl.plan.layout import WeightLayout
from netdsl.plan.parts import Parts
from netdsl.plan.target import PlanTarget
from netdsl.record import record


@record(frozen=False)
class Packing:
    """Home layouts of values, and the layouts flat element-by-element nodes read their operands in."""

    home: dict[Value, WeightLayout] = field(default_factory=dict)
    flat: dict[tuple[int, int], WeightLayout] = field(default_factory=dict)

    def get(self, value: Value) -> WeightLayout | None:
        return self.home.get(value)

    def operand(self, node: Node, operand: int) -> WeightLayout | None:
        return self.flat.get((id(node), operand))


def packed_layouts(
    graph: Graph, nodes: Sequence[Node], load_time: set[int], target: PlanTarget, parts: Parts
) -> Packing:
    """Home layouts: a parameter's is what its first reader wants, a result's what its kernel writes.

    Optimizers and other flat nodes follow their operands, so that a whole update is one pass over equal layouts.
    Values known at load time have no home: they are packed at load, once for every layout asked for.
    """
    packing = Packing()
    for node in nodes:
        for operand, value in enumerate(node.inputs):
            if value.node.op == "param" and id(value.node) not in load_time:
                layout = target.home_layout(node, operand, parts.of(node))
                if layout is not None:
                    packing.home.setdefault(value, layout)
    for node in nodes:
        _results(node, packing, target, parts.of(node))
    return packing


def _results(node: Node, packing: Packing, target: PlanTarget, batch: int) -> None:
    for value in node.outputs:
        layout = target.result_layout(node, value.index, batch)
        if layout is not None:
            packing.home[value] = layout
    if get(node.op).flat and not node.types[0].shape and node.inputs[0] in packing.home:  # a sum over a whole weight
        packing.flat[id(node), 0] = packing.home[node.inputs[0]]
        return
    if any(value in packing.home for value in node.outputs) or not _is_flat(node):
        return
    shape = node.types[0].shape
    alike = [operand for operand, value in enumerate(node.inputs) if value.type.shape == shape]
    known = next((packing.home[node.inputs[i]] for i in alike if node.inputs[i] in packing.home), None)
    if known is None:
        return
    for operand in alike:
        packing.flat[id(node), operand] = known
        packing.home.setdefault(node.inputs[operand], known)
    for value in node.outputs:
        packing.home[value] = known


def _is_flat(node: Node) -> bool:
    """Works element by element over unbatched operands that are all of the result's shape or scalars."""
    shapes = ((), node.types[0].shape)
    for type in (*node.types, *(value.type for value in node.inputs)):
        if type.batched or type.shape not in shapes:
            return False
    op = get(node.op)
    return op.flat or (node.epilogue is None and isinstance(op, Pointwise))
