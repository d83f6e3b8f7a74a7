"""The step of a plan at which the most bytes are alive, with the values that merely wait there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from netdsl.ir.graph import Graph, Node, Value
from netdsl.plan.peak import ELEMENT_BYTES
from netdsl.plan.planner import Decided, Draft, Drafted, Packed, draft_graph
from netdsl.plan.storage import Slot
from netdsl.plan.target import PlanTarget
from netdsl.record import record


@record
class Waiting:
    """A buffer of ``bytes`` that is written before a step and read behind it: everything that ever lies in it, each
    with the channel blocks it takes from the first."""

    bytes: int
    values: tuple[tuple[Value, int, int], ...]


@record
class Moment:
    """A step, mostly the worst, of a plan that takes ``bytes`` in all, arena and weights.

    ``latest`` is the last node of samples that has run, or is running; ``decided`` is what the plan has decided.
    """

    bytes: int
    latest: Node
    waiting: tuple[Waiting, ...]
    decided: Decided


def worst_moment(
    graph: Graph, target: PlanTarget, *, batch: int, threads: int, decided: Decided | None = None
) -> Moment:
    """Plan a graph and look at its worst step. ``decided`` as `draft_graph` takes them. Raises Unsupported."""
    drafted = draft_graph(graph, target, batch=batch, threads=threads, decided=decided)
    return moment_at(graph, drafted, _worst_step(drafted.steps))


def moment_at(graph: Graph, drafted: Drafted, step: int) -> Moment:
    """What waits at a step, from 0, of the graph's plan."""
    return Moment(
        ELEMENT_BYTES * (drafted.arena_size + drafted.weights_size),
        _latest(graph, drafted.steps, step),
        tuple(_waiting(drafted, step)),
        drafted.decided,
    )


def _buffers(step: Draft) -> Iterator[Slot | Packed]:
    for place in (*step.inputs, *step.outputs, step.scratch):
        if isinstance(place, Slot | Packed):
            yield place.root if isinstance(place, Slot) else place


def _size(buffer: Slot | Packed) -> int:
    return buffer.elements() if isinstance(buffer, Slot) else buffer.size


def _worst_step(steps: Sequence[Draft]) -> int:
    change = [0] * (len(steps) + 1)
    for buffer in {id(buffer): buffer for step in steps for buffer in _buffers(step)}.values():
        change[buffer.first] += _size(buffer)
        change[buffer.last + 1] -= _size(buffer)
    alive = list(accumulate(change))
    return alive.index(max(alive))


def _latest(graph: Graph, steps: Sequence[Draft], now: int) -> Node:
    """Updates of parameters are no such node: they run where the schedule finds a place for them."""
    batched = {
        node.name: node for node in graph.layers if any(value.type.batched for value in (*node.inputs, *node.outputs))
    }
    for step in reversed(steps[: now + 1]):
        node = batched.get(step.name)
        if node is not None and node.op == step.op:
            return node
    return graph.layers[0]


def _waiting(drafted: Drafted, now: int) -> Iterator[Waiting]:
    touched = {id(buffer) for buffer in _buffers(drafted.steps[now])}
    found: dict[int, tuple[Slot, list[tuple[Value, int, int]]]] = {}
    for value, place in drafted.places.items():
        if isinstance(place, Slot):
            root = place.root
            if root.first < now < root.last and id(root) not in touched:
                blocks = -(-place.channels // root.block)
                found.setdefault(id(root), (root, []))[1].append((value, place.offset_blocks, blocks))
    for root, values in found.values():
        yield Waiting(ELEMENT_BYTES * root.elements(), tuple(values))
