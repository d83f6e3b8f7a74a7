"""Which nodes run for a part of the batch at a time, so that what they hand each other stays in the caches.

Nodes in run order that take equally many samples at a time, fewer than the batch, run in turn for one part after the
other. What only they read and write needs room for a part; everything else lies there whole, and every part has its
place in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import field
from itertools import pairwise

from netdsl.ir.graph import Graph, Node, Uses, Value
from netdsl.plan.storage import Slot
from netdsl.plan.target import PlanTarget
from netdsl.record import record


@record
class Parts:
    """How many samples each node computes at a time: the ``batch`` unless ``sizes`` says less, by the node's identity.

    ``runs`` tells by identity which nodes are in one run of equal parts.
    """

    batch: int
    sizes: Mapping[int, int] = field(default_factory=dict)
    runs: Mapping[int, int] = field(default_factory=dict)

    def of(self, node: Node) -> int:
        return self.sizes.get(id(node), self.batch)

    def shrink(self, graph: Graph, uses: Uses, slots: Mapping[Value, Slot]) -> None:
        """Give buffers that one run alone uses the size of a part."""
        if not self.sizes:
            return
        stored = set(graph.outputs.values())
        users: dict[Slot, set[int | None]] = {}
        for value, slot in slots.items():
            users.setdefault(slot.root, set()).update(self._users(value, uses, value in stored))
        sizes = {self.runs[ident]: size for ident, size in self.sizes.items()}
        for root, (run, *others) in users.items():
            if run is not None and not others:
                root.batch = sizes[run]

    def _users(self, value: Value, uses: Uses, stored: bool) -> set[int | None]:
        """The runs that make and read a value; None for a caller who is given an input of the network."""
        readers = {self.runs.get(id(node)) for node, _ in uses.get(value, [])}
        if id(value.node) in self.runs:
            return readers | {self.runs[id(value.node)]}
        return readers | {None} if stored or not readers else readers


def parts_of(graph: Graph, nodes: Sequence[Node], resident: Set[int], target: PlanTarget, batch: int) -> Parts:
    """As the target wants them for ``nodes`` in run order, where every sample is computed alone.

    ``resident`` holds the identities of nodes whose values are known when weights are loaded.
    """
    if batch == 1 or graph.updates or not all(_is_of_samples(node, resident) for node in nodes):
        return Parts(batch)
    sizes = target.part_sizes(nodes, resident, batch)
    if any(batch % size for size in sizes):
        raise ValueError(f"parts of {sorted(set(sizes))} samples do not divide a batch of {batch}")
    if all(size == batch for size in sizes):
        return Parts(batch)
    runs = [0]
    for before, size in pairwise(sizes):
        runs.append(runs[-1] + (before != size))
    idents = [id(node) for node in nodes]
    return Parts(batch, dict(zip(idents, sizes, strict=True)), dict(zip(idents, runs, strict=True)))


def _is_of_samples(node: Node, resident: Set[int]) -> bool:
    """Whether a node's results are those of samples, each from its own operands and from weights alone."""
    operands = all(value.type.batched or id(value.node) in resident for value in node.inputs)
    return operands and all(type.batched for type in node.types)
