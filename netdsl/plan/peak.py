"""The worst moment of a plan: which step, and what lies in the arena then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from netdsl.ir.types import TensorType
from netdsl.plan.plan import ResidentWeight
from netdsl.plan.planner import Draft, Drafted, Packed
from netdsl.plan.storage import Slot
from netdsl.source import Span

ELEMENT_BYTES = 4


@dataclass(frozen=True)
class Written:
    """A value: the step that wrote it, and its type."""

    op: str
    name: str
    type: TensorType
    spans: frozenset[Span]


@dataclass(frozen=True)
class Buffer:
    """One buffer that is alive, with padding of channels and borders. Several values share it where they are parts of
    one (a concatenation); one that is written over another counts alone. ``scratch``: working memory of a step."""

    bytes: int
    values: tuple[Written, ...]
    scratch: bool


@dataclass(frozen=True)
class Peak:
    """The first step (from 0) at which the most bytes are alive.

    ``bytes`` is the arena; the buffers, largest first, and ``between``, what lies unused between them at that
    step, add up to it. ``weights`` are resident all the time, optimizer state among them, and not in the arena.
    """

    bytes: int
    step: int
    steps: int
    op: str
    name: str
    spans: frozenset[Span]
    buffers: tuple[Buffer, ...]
    between: int
    weights: tuple[ResidentWeight, ...]
    weights_bytes: int


@dataclass(eq=False)
class _Owner:
    """A buffer with all that is ever written to it: (step, first block, blocks, value)."""

    elements: int
    first: int
    last: int
    scratch: bool
    writes: list[tuple[int, int, int, Written]] = field(default_factory=list)


def peak_of(drafted: Drafted) -> Peak:
    """Look at every step of a plan that has any."""
    owners = _owners(drafted.steps)
    worst = _worst_step(owners, len(drafted.steps))
    alive = [owner for owner in owners if owner.first <= worst <= owner.last]
    buffers = sorted((_buffer(owner, worst) for owner in alive), key=lambda buffer: -buffer.bytes)
    step, arena = drafted.steps[worst], ELEMENT_BYTES * drafted.arena_size
    return Peak(
        arena,
        worst,
        len(drafted.steps),
        step.op,
        step.name,
        step.spans,
        tuple(buffers),
        arena - sum(buffer.bytes for buffer in buffers),
        tuple(drafted.weights),
        ELEMENT_BYTES * drafted.weights_size,
    )


def _owners(steps: Sequence[Draft]) -> list[_Owner]:
    owners: dict[int, _Owner] = {}
    for time, step in enumerate(steps):
        for place in (*step.inputs, *step.outputs, step.scratch):
            if isinstance(place, Slot | Packed):
                root = place.root if isinstance(place, Slot) else place
                owners.setdefault(id(root), _owner(root))
        for place, type in zip(step.outputs, step.output_types, strict=True):
            if isinstance(place, Slot | Packed):
                root, first, blocks = _part(place)
                owners[id(root)].writes.append((time, first, blocks, Written(step.op, step.name, type, step.spans)))
        if step.scratch is not None:
            written = Written(step.op, step.name, step.output_types[0], step.spans)
            owners[id(step.scratch)].writes.append((time, 0, 1, written))
    return list(owners.values())


def _owner(root: Slot | Packed) -> _Owner:
    if isinstance(root, Slot):
        return _Owner(root.elements(), root.first, root.last, False)
    return _Owner(root.size, root.first, root.last, root.layout is None)


def _part(place: Slot | Packed) -> tuple[Slot | Packed, int, int]:
    """The buffer, and the channel blocks of it that ``place`` takes."""
    if isinstance(place, Packed):
        return place, 0, 1
    return place.root, place.offset_blocks, -(-place.channels // place.root.block)


def _worst_step(owners: Sequence[_Owner], steps: int) -> int:
    change = [0] * (steps + 1)
    for owner in owners:
        change[owner.first] += owner.elements
        change[owner.last + 1] -= owner.elements
    alive = list(accumulate(change))
    return alive.index(max(alive))


def _buffer(owner: _Owner, step: int) -> Buffer:
    return Buffer(ELEMENT_BYTES * owner.elements, tuple(_values(owner, step)), owner.scratch)


def _values(owner: _Owner, step: int) -> Iterator[Written]:
    """What lies in the buffer: the last value written to each part. Where samples run in turn it may have been written
    for earlier ones only."""
    parts: list[tuple[int, int, Written]] = []
    for _, first, blocks, value in [write for write in owner.writes if write[0] <= step] or owner.writes:
        parts = [part for part in parts if not (first <= part[0] and part[0] + part[1] <= first + blocks)]
        parts.append((first, blocks, value))
    for _, _, value in sorted(parts, key=lambda part: part[0]):
        yield value
