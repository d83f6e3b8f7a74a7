"""Work and memory traffic of layers at a batch, and the time that a machine's limits give them.

The roofline model: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 2009. A layer that does F operations and moves B bytes takes max(F / peak, B / bandwidth). Code can
only be faster where it does fewer operations (Winograd's convolutions) or where bytes stay in a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.analysis.cost import cost_of
from netdsl.ir.graph import Graph, Node, Value
from netdsl.machine import Machine
from netdsl.ops.base import Call, get

ELEMENT_BYTES = 4
"""Of float32 and of class numbers."""


@dataclass(frozen=True)
class Work:
    """Arithmetic and traffic, in multiply-accumulates, operations and bytes, of a whole batch."""

    macs: int = 0
    flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.macs + other.macs,
            self.flops + other.flops,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float | None:
        """Operations a byte; None where nothing is moved."""
        return self.flops / self.bytes if self.bytes else None


@dataclass(frozen=True)
class Roof:
    """The rates that limit: operations and bytes a second."""

    flops: float
    bandwidth: float

    @staticmethod
    def of(machine: Machine, threads: int | None) -> Roof:
        """A machine with this many threads; None for all its cores."""
        return Roof(machine.flops_with(threads), machine.bandwidth_with(threads))

    @property
    def ridge(self) -> float:
        """Operations a byte from which on arithmetic is the limit."""
        return self.flops / self.bandwidth

    def seconds(self, work: Work) -> float:
        return max(work.flops / self.flops, work.bytes / self.bandwidth)

    def bound(self, work: Work) -> str | None:
        """``compute`` or ``memory``, whichever limits; None for no work."""
        if not work.flops and not work.bytes:
            return None
        return "compute" if work.flops / self.flops >= work.bytes / self.bandwidth else "memory"


def layer_work(graph: Graph, batch: int) -> dict[Node, Work]:
    """The work of every layer that a run of ``batch`` samples does, in the graph's order. Raises UserError.

    Each layer reads its operands from memory and writes its results there, each value once; parameters (and what is
    computed of them when they are loaded) are read by the first layer that uses them and stay. Layers whose result is
    their operand's memory move nothing.
    """
    known: set[Value] = set()
    seen: set[Value] = set()
    found: dict[Node, Work] = {}
    for node in graph.nodes:
        if node.op in ("param", "const") or (node.op != "input" and all(value in known for value in node.inputs)):
            known.update(node.outputs)
        elif node.op != "input":
            fixed = [value for value in node.inputs if value in known]
            found[node] = _work(node, batch, seen)
            seen.update(fixed)
    return found


def work_of(node: Node, batch: int) -> Work:
    """The work of one node that finds none of its operands read already. Raises UserError."""
    return _work(node, batch, set())


def _work(node: Node, batch: int, seen: set[Value]) -> Work:
    cost, traffic = cost_of(node), get(node.op).traffic(Call.of(node))
    fused = (value.type.elements for value in node.epilogue_inputs)
    reads: dict[Value, int] = {}
    for value, elements in zip(node.inputs, (*traffic.reads, *fused), strict=True):
        if value not in seen:
            reads[value] = max(reads.get(value, 0), elements)
    samples = batch if any(value.type.batched for value in (*node.inputs, *node.outputs)) else 1
    return Work(
        cost.macs * samples,
        cost.flops * samples,
        sum(_bytes(value, elements, batch) for value, elements in reads.items()),
        sum(_bytes(value, elements, batch) for value, elements in zip(node.outputs, traffic.writes, strict=True)),
    )


def _bytes(value: Value, elements: int, batch: int) -> int:
    return ELEMENT_BYTES * elements * (batch if value.type.batched else 1)
