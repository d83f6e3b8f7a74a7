"""A value is computed a second time instead of being kept.

    y = relu(x) ... z = conv(y) ... dz -> conv_grad_weight(dz, y)
    y = relu(x) ... z = conv(y) ... y' = relu(x), conv_grad_weight(dz, y')

Readers behind some node of the graph (the latest one that has run) read the second computation, which stands just
before the first of them: that is as late as it can be, and between the two the memory is free. What a second
computation reads must be there then: a value that is read later still, one that is computed again already (and now
earlier), one that is kept for this, or one that is computed again itself, down to parameters and inputs.

The nodes that are added say so (``Node.repeats``): they have the bits of the first, and ``cse`` leaves them alone. Of
batch normalization only the normalization is done again; random numbers are functions of their counters.

Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016; here which values are dropped is
found out one by one (`netdsl.passes.fit_memory`), so segments need not be chains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from netdsl.analysis.roofline import ELEMENT_BYTES, Roof, work_of
from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.repeats import origin_of
from netdsl.ops.base import get
from netdsl.ops.shape import VIEWS
from netdsl.plan.moment import Moment, Waiting
from netdsl.record import record

_ROOF = Roof(flops=4.0, bandwidth=1.0)
"""What work is weighed with: processors do 3 to 10 operations while they move a byte."""


def repetition(node: Node) -> Node:
    """A node, not yet in any graph, that computes the first result of ``node`` again from the same operands."""
    again = get(node.op).again(node)
    types = node.types if again.op == node.op else node.types[:1]
    operands = [*again.operands, *node.epilogue_inputs]
    first = origin_of(node.output)[0]
    return Node(again.op, f"{first}.again", operands, dict(again.attrs), types, node.spans, node.epilogue, first)


@record
class Drop:
    """A buffer that need not wait, what has to be computed again for that, and what has to wait in its place.

    ``saved`` are bytes; ``cost`` is time, in units of a byte moved.
    """

    buffer: Waiting
    values: frozenset[Value]
    again: frozenset[Node]
    kept: frozenset[Value]
    saved: int
    cost: float

    @property
    def gain(self) -> float:
        """Bytes saved for each unit of time."""
        return self.saved / max(self.cost, 1.0)


@record(frozen=False)
class Recompute:
    """Rewrites ``graph`` so that less waits at ``moment``. ``costs`` remembers those of repetitions, by name and op."""

    graph: Graph
    moment: Moment
    batch: int
    costs: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = list(self.moment.waiting)
        self._results = set(self.graph.updates.values())
        self._look()
        ran = self.graph.nodes[: self._now + 1]
        self._used = {value for node in ran for value in node.inputs} | set(self.graph.outputs.values())

    def _look(self) -> None:
        """Where nodes stand, and who reads what behind the moment."""
        self._position = {node: index for index, node in enumerate(self.graph.nodes)}
        self._now = self._position[self.moment.latest]
        self._first_read: dict[Value, int] = {}
        self._later: dict[tuple[str, int], Value] = {}
        for index, node in enumerate(self.graph.nodes[self._now + 1 :], self._now + 1):
            for value in node.inputs:
                self._first_read.setdefault(value, index)
            if node.repeats is not None:
                self._later.setdefault(origin_of(node.output), node.output)
        self._viewed = {value for buffer in self._waiting for value in _whole_values(buffer, self._position)}

    # -- choosing --------------------------------------------------------------------------

    def drops(self) -> Iterator[Drop]:
        """What can be dropped, in the order of the buffers; for each buffer once with nothing else kept for it, and
        once, where that is another choice, with its operands kept."""
        for buffer in self._waiting:
            yield from self.ways(buffer)

    def ways(self, buffer: Waiting) -> Iterator[Drop]:
        """The ways to do without one buffer."""
        values = frozenset(value for value, _, _ in buffer.values if value in self._first_read)
        values = frozenset(value for value in values if self._position[value.node] <= self._now)
        if not values or any(not self._can_repeat(value) or value not in self._used for value in values):
            return
        if min(self._first_read[value] for value in values) <= self._now + 1:
            return
        alone = self._drop(buffer, values, 0)
        if alone is not None:
            yield alone
        keeping = self._drop(buffer, values, buffer.bytes // 2)
        if keeping is not None and (alone is None or keeping.kept):
            yield keeping

    def _can_repeat(self, value: Value) -> bool:
        if value.node.name in self.moment.decided.joined:
            return False
        return value.index == 0 and value.type.batched and value.node.op != "input" and value not in self._results

    def _drop(self, buffer: Waiting, values: frozenset[Value], most_kept: int) -> Drop | None:
        again: set[Node] = set()
        kept: set[Value] = set()
        stack = sorted(values, key=lambda value: self._position[value.node])
        while stack:
            value = stack.pop()
            if value.node in again:
                continue
            if not self._can_repeat(value):
                return None
            again.add(value.node)
            for operand in repetition(value.node).inputs:
                if self._must_repeat(operand, values, most_kept):
                    stack.append(operand)
                elif self._must_keep(operand, values):
                    kept.add(operand)
        saved = buffer.bytes - sum(map(self._bytes, kept))
        cost = sum(map(self._cost, again))
        return Drop(buffer, values, frozenset(again), frozenset(kept), saved, cost) if saved > 0 else None

    def _must_repeat(self, operand: Value, dropped: frozenset[Value], most_kept: int) -> bool:
        if operand in dropped:
            return True
        return self._must_keep(operand, dropped) and self._can_repeat(operand) and self._bytes(operand) > most_kept

    def _must_keep(self, operand: Value, dropped: frozenset[Value]) -> bool:
        """Whether the operand would be gone by then, unless it is kept for this."""
        return not self._is_there(operand) and origin_of(operand) not in self._later

    def _is_there(self, value: Value) -> bool:
        small = value.node.op in SOURCES or not value.type.batched
        return small or value in self._first_read or value in self._viewed

    def _bytes(self, value: Value) -> int:
        return ELEMENT_BYTES * value.type.elements * (self.batch if value.type.batched else 1)

    def _cost(self, node: Node) -> float:
        key = origin_of(node.output)[0], node.op
        if key not in self.costs:
            self.costs[key] = _ROOF.seconds(work_of(repetition(node), self.batch))
        return self.costs[key]

    # -- rewriting -------------------------------------------------------------------------

    def apply(self, drop: Drop) -> None:
        """Compute again what the drop says, as late as possible. Other drops are then to be looked for anew."""
        nodes = self.graph.nodes
        order = _Order(self, drop)
        for node in nodes[self._now + 1 :]:
            order.place(node)
        self.graph.nodes = nodes[: self._now + 1] + order.nodes
        self._waiting.remove(drop.buffer)
        self._look()

    def is_behind(self, node: Node) -> bool:
        """Whether the node has not run at the moment; those that are being added have not."""
        return self._position.get(node, len(self._position)) > self._now

    def found(self, operand: Value, drop: Drop) -> Value | None:
        """What a repetition reads for ``operand``; None where that must be computed again."""
        if operand in drop.values:
            return None
        if self._is_there(operand) or operand in drop.kept:
            return operand
        later = self._later.get(origin_of(operand))
        if later is not None:
            return later
        return None if operand.node in drop.again else operand


class _Order:
    """The nodes behind the moment in their new order."""

    def __init__(self, recompute: Recompute, drop: Drop) -> None:
        self._recompute, self._drop = recompute, drop
        self.nodes: list[Node] = []
        self._placed: set[Node] = set()
        self._twins: dict[Node, Node] = {}
        self._raw: set[Node] = set()
        """Repetitions that still read the operands of what they repeat."""

    def place(self, node: Node) -> None:
        """Put the node behind all it needs; what it needs and has no place yet comes just before it."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self._placed:
                stack.pop()
                continue
            self._settle(top)
            missing = [value.node for value in top.inputs if self._is_missing(value.node)]
            if missing:
                stack += missing
            else:
                self._placed.add(top)
                self.nodes.append(stack.pop())

    def _settle(self, node: Node) -> None:
        """Let the node read what will be there."""
        if node in self._raw:
            self._raw.remove(node)
            node.inputs = [self._recompute.found(value, self._drop) or self._twin(value) for value in node.inputs]
        else:
            node.inputs = [self._twin(value) if value in self._drop.values else value for value in node.inputs]

    def _is_missing(self, node: Node) -> bool:
        return node not in self._placed and self._recompute.is_behind(node)

    def _twin(self, value: Value) -> Value:
        if value.node not in self._twins:
            twin = repetition(value.node)
            twin.name = self._recompute.graph.unique_name(twin.name)
            self._recompute.graph.claim_name(twin)
            self._twins[value.node] = twin
            self._raw.add(twin)
        return self._twins[value.node].output


def _whole_values(buffer: Waiting, position: Mapping[Node, int]) -> Iterator[Value]:
    """The values in a buffer that nothing was written over."""
    for value, first, blocks in buffer.values:
        later = (
            other
            for other, start, count in buffer.values
            if start < first + blocks and first < start + count and other.node.op not in VIEWS
        )
        if all(position[other.node] <= position[value.node] for other in later):
            yield value
