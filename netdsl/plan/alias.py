"""Deciding which blocked values lie inside another's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from netdsl.ir.graph import Graph, Node, Uses, Value
from netdsl.ir.repeats import origin_of
from netdsl.plan.layout import Halo, canonical
from netdsl.plan.packing import Packing
from netdsl.plan.storage import Slot, same_shape
from netdsl.plan.target import PlanTarget
from netdsl.record import record

Halos = Mapping[tuple[str, int], Halo]
"""The halo around the maps of a node's result, by the node's name and the result's number."""


def share_storage(
    graph: Graph,
    uses: Uses,
    nodes: Sequence[Node],
    packing: Packing,
    target: PlanTarget,
    batch: int,
    halos: Halos | None = None,
) -> dict[Value, Slot]:
    """A slot for every blocked run-time value; slots that can share memory are merged.

    - the parts of a concatenation are produced in place when every part starts at a whole channel block;
    - a slice at whole blocks, and a reshape that moves nothing, are views;
    - a result overwrites an operand that dies there, where the target allows it.

    With ``halos`` every value has the halo given there for it, or for the node that its node repeats, and only those
    with equal ones are merged.
    """
    sharing = _Sharing(graph, uses, nodes, packing, target, batch, halos)
    sharing.create()
    for node in nodes:
        if node.epilogue is None:
            sharing.view(node)
    sharing.overwrite()
    return sharing.slots


@record(frozen=False)
class _Sharing:
    """The slots while they are made and merged."""

    graph: Graph
    uses: Uses
    nodes: Sequence[Node]
    packing: Packing
    target: PlanTarget
    batch: int
    halos: Halos | None = None
    slots: dict[Value, Slot] = field(default_factory=dict)

    def create(self) -> None:
        for node in self.graph.inputs:
            self.slots[node.output] = self._slot(node.output, self._input_block(node.output))
        for node in self.nodes:
            for value in node.outputs:
                if self.packing.get(value) is None:
                    self.slots[value] = self._slot(value, self.target.block)
        for node in self.nodes:
            for operand, value in enumerate(node.inputs):
                slot = self.slots.get(value)
                if slot is not None and any(halo := self.target.halo(node, operand)):
                    slot.widen(halo)
        if self.halos is not None:
            for value, slot in self.slots.items():
                slot.widen(self.halos[origin_of(value)])

    def _slot(self, value: Value, block: int) -> Slot:
        return Slot.of(value.type, self.batch, block)

    def _input_block(self, value: Value) -> int:
        channels = canonical(value.type.shape)[0]
        readers = self.uses.get(value, [])
        narrow = channels < self.target.block and readers and value not in self.graph.outputs.values()
        if narrow and all(self.target.narrow(node, operand) for node, operand in readers):
            return channels
        return self.target.block

    # -- views -----------------------------------------------------------------------------

    def view(self, node: Node) -> None:
        """Merge the slots of a node that only arranges memory."""
        result = self.slots.get(node.output)
        if result is None:
            return
        sources = [self.slots.get(value) for value in node.inputs]
        if node.op == "concat":
            self._concat(node, result, sources)
        elif node.op == "slice" and sources[0] is not None:
            self._slice(node, result, sources[0])
        elif node.op in ("flatten", "reshape") and sources[0] is not None:
            same = canonical(node.inputs[0].type.shape) == canonical(node.types[0].shape)
            if same and sources[0].block == result.block and self._agree(result, sources[0]):
                result.merge_into(sources[0], 0)

    def _agree(self, first: Slot, second: Slot) -> bool:
        """Whether merging leaves both halos as they must be."""
        return self.halos is None or first.root.halo == second.root.halo

    def _concat(self, node: Node, result: Slot, sources: Sequence[Slot | None]) -> None:
        block, channels = self.target.block, 0
        starts = []
        for value in node.inputs:
            starts.append(channels)
            channels += value.type.shape[0]
        if any(start % block for start in starts) or any(v.type.batched != node.types[0].batched for v in node.inputs):
            return
        for value, source, start in zip(node.inputs, sources, starts, strict=True):
            produced = value.node.op != "input"
            if source is None or source is result or not produced or not self._agree(source, result):
                continue
            if source.whole and source.block == block:
                source.merge_into(result, start // block)

    def _slice(self, node: Node, result: Slot, source: Slot) -> None:
        start, stop = node.attrs["start"], node.attrs["stop"]
        block = source.block
        ends_whole = stop % block == 0 or stop == source.channels
        along = node.attrs.get("axis", 0) == 0 and self._agree(result, source)
        if block == result.block and start % block == 0 and ends_whole and along:
            result.merge_into(source, start // block)

    # -- in place --------------------------------------------------------------------------

    def overwrite(self) -> None:
        """Let results take over the memory of operands that die at their node."""
        position = {id(node): index for index, node in enumerate(self.nodes)}
        last_read: dict[Value, int] = {}
        for node in self.nodes:
            for value in node.inputs:
                last_read[value] = max(last_read.get(value, -1), position[id(node)])
        for node in self.graph.inputs:  # those that are results as well are stored last of all
            if node.output in self.graph.outputs.values():
                last_read[node.output] = len(self.nodes)
        dies: dict[int, int] = {}
        for value, slot in self.slots.items():
            dies[id(slot.root)] = max(
                dies.get(id(slot.root), -1), last_read.get(value, -1), self._born(value, position)
            )
        for node in self.nodes:
            allowed = self.target.in_place(node)
            for operand in allowed:
                # a residual that is the layer's own input as well would be overwritten while it is still read
                everywhere = {i for i, value in enumerate(node.inputs) if value == node.inputs[operand]}
                if everywhere.issubset(allowed) and self._take_over(node, operand, position[id(node)], dies):
                    break

    @staticmethod
    def _born(value: Value, position: dict[int, int]) -> int:
        return position.get(id(value.node), -1)

    def _take_over(self, node: Node, operand: int, now: int, dies: dict[int, int]) -> bool:
        value, result = node.inputs[operand], self.slots.get(node.output)
        source = self.slots.get(value)
        if source is None or result is None or value.type != node.types[0] or not self._agree(source, result):
            return False
        if not source.whole or not same_shape(source, result) or dies[id(source)] > now or source.root is result.root:
            return False
        others = (self.slots.get(other) for i, other in enumerate(node.inputs) if i != operand and other != value)
        if any(other is not None and other.root is source for other in others):
            return False
        end = max(dies[id(source)], dies[id(result.root)])
        source.merge_into(result, 0)
        dies[id(result.root)] = end
        return True
