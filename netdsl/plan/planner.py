"""Graph -> Plan: layouts, shared storage, kernel calls, offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from itertools import groupby
from typing import Any

from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.repeats import origin_of, repeated_nodes, without_repeats
from netdsl.ir.scalar import Expr
from netdsl.ir.types import TensorType
from netdsl.ops.shape import VIEWS
from netdsl.plan.alias import Halos, share_storage
from netdsl.plan.arena import Interval, place
from netdsl.plan.layout import Blocked, Layout, WeightLayout
from netdsl.plan.packing import packed_layouts
from netdsl.plan.parts import parts_of
from netdsl.plan.plan import Plan, Region, ResidentWeight, Step, View
from netdsl.plan.schedule import load_time_nodes, schedule
from netdsl.plan.storage import Slot
from netdsl.plan.target import PlanTarget
from netdsl.record import record
from netdsl.source import Span


@record(frozen=False, eq=False)
class Packed:
    """A run-time buffer in a weight layout, or (layout None) plain working memory of ``size`` elements."""

    layout: WeightLayout | None
    size: int
    first: int = -1
    last: int = -1

    def touch(self, time: int) -> None:
        self.first = time if self.first < 0 else self.first
        self.last = max(self.last, time)


Place = Slot | Packed | ResidentWeight | View


@record(frozen=False)
class Draft:
    """A step whose places have no offsets yet."""

    op: str
    name: str
    attrs: dict[str, Any]
    inputs: list[Place]
    outputs: list[Place]
    input_types: tuple[TensorType, ...]
    output_types: tuple[TensorType, ...]
    epilogue: Expr | None = None
    epilogue_inputs: int = 0
    scratch: Packed | None = None
    spans: frozenset[Span] = frozenset()
    joined: bool = False
    times: int = 1


def plan_graph(graph: Graph, target: PlanTarget, *, batch: int, threads: int = 1) -> Plan:
    """Plan an inference graph (no updates) or a training-step graph for ``batch`` samples, on at most ``threads``.

    Raises Unsupported through the target for nodes it has no kernel for.
    """
    return _Planner(graph, target, batch, threads).run()


def arena_size(graph: Graph, target: PlanTarget, *, batch: int, threads: int = 1) -> int:
    """The ``arena_size`` of the plan (elements), without writing the plan down: reports need no more."""
    planner = _Planner(graph, target, batch, threads)
    planner.draft()
    return planner.place_arena()[1]


@record
class Decided:
    """What a plan decides that the rounding of results depends on, so that plans with repeated nodes keep to it.

    Sums over maps with and without gaps between their rows, the ``halos``, are rounded differently; so are results of
    nodes that run in one step, of which ``joined`` are the names of the second ones.
    """

    halos: Halos
    joined: frozenset[str]


@record
class Drafted:
    """A plan that still knows which step writes and reads which buffer; sizes are in elements."""

    steps: list[Draft]
    weights: list[ResidentWeight]
    weights_size: int
    arena_size: int
    places: dict[Value, Place]
    decided: Decided


def draft_graph(
    graph: Graph, target: PlanTarget, *, batch: int, threads: int = 1, decided: Decided | None = None
) -> Drafted:
    """The steps of ``plan_graph`` with their buffers, and the sizes of its regions.

    ``decided`` is that of the plan of the graph without repeated nodes, where it is known already.
    """
    planner = _Planner(graph, target, batch, threads, decided)
    planner.draft()
    return Drafted(
        planner.drafts,
        planner.weights,
        planner.weights_size,
        planner.place_arena()[1],
        planner.places,
        planner.decisions(),
    )


@record(frozen=False)
class _Planner:
    """A plan while it is made."""

    graph: Graph
    target: PlanTarget
    batch: int
    threads: int
    decided: Decided | None = None
    drafts: list[Draft] = field(default_factory=list)
    weights: list[ResidentWeight] = field(default_factory=list)
    weights_size: int = 0
    owners: dict[int, Slot | Packed] = field(default_factory=dict)
    """What steps use of the arena, by identity, in the order of first use."""

    def run(self) -> Plan:
        self.draft()
        return self._finish()

    def draft(self) -> None:
        """All steps and their places, without offsets."""
        self.nodes = schedule(self.graph)
        self.load_time = load_time_nodes(self.graph)
        self.threads = self.target.useful_threads(self.graph, self.batch, self.threads)
        self.nodes = [node for node in self.nodes if id(node) not in self.load_time]
        self.parts = parts_of(self.graph, self.nodes, self.load_time, self.target, self.batch)
        self.samples = self.batch
        self.target = self.target.for_graph(self.graph, self.load_time, parts=self.parts, threads=self.threads)
        self.packed = packed_layouts(self.graph, self.nodes, self.load_time, self.target, self.parts)
        self.uses = self.graph.uses()
        self.decided = self._decided_before()
        halos = None if self.decided is None else self.decided.halos
        self.slots = share_storage(self.graph, self.uses, self.nodes, self.packed, self.target, self.batch, halos)
        self.parts.shrink(self.graph, self.uses, self.slots)
        self.places: dict[Value, Place] = dict(self.slots)
        self.converted: dict[tuple[Value, Layout | None], Place] = {}
        self.resident: dict[tuple[Value, Layout], ResidentWeight] = {}
        self.latest: Node | None = None
        self.input_index = {node.name: index for index, node in enumerate(self.graph.inputs)}
        self._place_parameters()
        self._redirect_updates()
        for node in self.nodes:
            self.samples = self.parts.of(node)
            self._draft_node(node)
        self.samples = self.batch
        self._store_remaining_outputs()
        self._copy_remaining_updates()
        self._keep_for_all_parts()

    def _decided_before(self) -> Decided | None:
        """What the plan of the graph without repeated nodes decides, if there are any."""
        if self.decided is not None or not repeated_nodes(self.graph):
            return self.decided
        planner = _Planner(without_repeats(self.graph), self.target, self.batch, self.threads)
        planner.draft()
        return planner.decisions()

    def decisions(self) -> Decided:
        """What this plan has decided."""
        halos = {origin_of(value): slot.root.halo for value, slot in self.slots.items()}
        return Decided(halos, frozenset(draft.name for draft in self.drafts if draft.joined))

    # -- places ----------------------------------------------------------------------------

    def _resident(self, value: Value, layout: Layout) -> ResidentWeight:
        """A weight that stays as it is, in this layout."""
        key = (value, layout)
        if key not in self.resident:
            self.resident[key] = self._new_weight(value, layout)
        return self.resident[key]

    def _new_weight(self, value: Value, layout: Layout, trainable: bool = False) -> ResidentWeight:
        weight = ResidentWeight(value.name, self.weights_size, layout, value.type, trainable)
        self.weights.append(weight)
        self.weights_size += -(-layout.size // self.target.alignment) * self.target.alignment
        return weight

    def _blocked(self, type: TensorType) -> Blocked:
        return Blocked.of(type, self.batch, self.target.block)

    def _place_parameters(self) -> None:
        """In a training graph every parameter lives in one home layout; at inference copies are made on demand."""
        if not self.graph.updates:
            return
        for node in self.graph.params:
            layout = self.packed.get(node.output) or self._blocked(node.output.type)
            self.places[node.output] = self._new_weight(node.output, layout, bool(node.attrs.get("trainable", True)))

    def _redirect_updates(self) -> None:
        """Let a parameter's new value be written over the old one where every reader has finished by then."""
        position = {id(node): index for index, node in enumerate(self.nodes)}
        params = {node.name: node.output for node in self.graph.params}
        self.pending_updates: list[tuple[Value, Value]] = []
        for name, value in self.graph.updates.items():
            param = params[name]
            writer = position.get(id(value.node), -1)
            readers = [position[id(reader)] for reader, _ in self.uses.get(param, []) if id(reader) in position]
            safe = param in value.node.inputs and max(readers, default=-1) <= writer
            if safe and self.packed.get(value) == self.packed.get(param):
                self.places[value] = self.places[param]
            else:
                self.pending_updates.append((param, value))

    def _place_of(self, value: Value, wanted: WeightLayout | None, reader: Node | None = None) -> Place:
        """Where a reader that wants this layout (None: blocked) finds ``value``; converts when needed, for a node that
        repeats another anew: nothing is to wait for it."""
        if id(value.node) in self.load_time:
            return self._resident(value, wanted or self._blocked(value.type))
        home = self._home(value)
        if not _is_packed(home) if wanted is None else _layout(home) == wanted:
            return home
        if reader is not None and reader.repeats is not None:
            return self._convert(value, home, wanted)
        key = (value, wanted)
        if key not in self.converted:
            self.converted[key] = self._convert(value, home, wanted)
        return self.converted[key]

    def _home(self, value: Value) -> Place:
        place = self.places.get(value)
        if place is None:
            place = self.places[value] = self._fresh(value)
        if value.node.op == "input" and (value, None) not in self.converted:
            self.converted[value, None] = place
            source = self._callers(Region.INPUT, self.input_index[value.node.name], value.type)
            self._draft("load_input", value.name, [source], [place], value, value.node.spans)
        return place

    def _callers(self, region: Region, number: int, type: TensorType) -> View:
        """An array of the caller's."""
        layout = Blocked.of(type, self.samples, 1)
        stride = layout.size if self.samples < self.batch else 0
        return View(region, number, layout, type.dtype, stride)

    def _fresh(self, value: Value) -> Place:
        layout = self.packed.get(value)
        if layout is not None:
            return self._taken_over(value, layout) or Packed(layout, layout.size)
        return self._plain_slot(value)

    def _taken_over(self, value: Value, layout: WeightLayout) -> Packed | None:
        """The buffer of the only operand, where nothing else reads it and its place is the result's."""
        node = value.node
        if len(node.inputs) != 1 or self.target.in_place(node) != (0,) or node.inputs[0] in self.graph.results():
            return None
        home = self.places.get(node.inputs[0])
        alone = self.uses[node.inputs[0]] == [(node, 0)]
        return home if alone and isinstance(home, Packed) and home.layout == layout else None

    def _convert(self, value: Value, home: Place, wanted: WeightLayout | None) -> Place:
        place: Place = Packed(wanted, wanted.size) if wanted is not None else self._plain_slot(value)
        self._draft("relayout", value.name, [home], [place], value, value.node.spans)
        return place

    def _plain_slot(self, value: Value) -> Slot:
        return Slot.of(value.type, self.batch, self.target.block)

    # -- steps -----------------------------------------------------------------------------

    def _draft(
        self,
        op: str,
        name: str,
        inputs: list[Place],
        outputs: list[Place],
        value: Value,
        spans: frozenset[Span],
    ) -> None:
        """A step that moves one value."""
        self._append(Draft(op, name, {}, inputs, outputs, (value.type,), (value.type,), spans=spans))

    def _append(self, draft: Draft) -> None:
        time = len(self.drafts)
        draft.times = self.batch // self.samples
        self.drafts.append(draft)
        self.latest = None
        for item in (*draft.inputs, *draft.outputs, draft.scratch):
            if isinstance(item, (Slot, Packed)):
                item.touch(time)
                owner = item.root if isinstance(item, Slot) else item
                self.owners[id(owner)] = owner

    def _draft_node(self, node: Node) -> None:
        wanted = [self._wanted(node, operand) for operand in range(len(node.inputs))]
        inputs = [self._place_of(value, layout, node) for value, layout in zip(node.inputs, wanted, strict=True)]
        outputs = [self._home(value) for value in node.outputs]
        if not self._is_view(node, inputs, outputs):
            elements = self.target.scratch(node, self.samples, self.threads)
            joined = self._joins_latest(node)
            self._append(
                Draft(
                    node.op,
                    node.name,
                    node.attrs,
                    inputs,
                    outputs,
                    tuple(value.type for value in node.inputs),
                    node.types,
                    node.epilogue.expr if node.epilogue else None,
                    node.epilogue.operands if node.epilogue else 0,
                    Packed(None, elements) if elements else None,
                    node.spans,
                    joined,
                )
            )
            if joined:
                self._extend_operands()
            self.latest = node
        self._store_outputs_of(node)

    def _joins_latest(self, node: Node) -> bool:
        """Whether the node may run in one step with the latest, whose only reader it is."""
        if self.latest is None or len(self.latest.outputs) != 1 or self.parts.of(self.latest) != self.samples:
            return False
        if self.decided is not None and node.name not in self.decided.joined:
            return False
        value = self.latest.output
        if self.uses.get(value) != [(node, 0)] or not self.target.joins(self.latest, node):
            return False
        return value not in self.graph.outputs.values() and value not in self.graph.updates.values()

    def _extend_operands(self) -> None:
        """Let what the last step but one reads live through the last."""
        for item in self.drafts[-2].inputs:
            if isinstance(item, (Slot, Packed)):
                item.touch(len(self.drafts) - 1)

    def _wanted(self, node: Node, operand: int) -> WeightLayout | None:
        demanded = self.target.operand_layout(node, operand, self.samples)
        return demanded if demanded is not None else self.packed.operand(node, operand)

    def _is_view(self, node: Node, inputs: Sequence[Place], outputs: Sequence[Place]) -> bool:
        """Whether the result already is where it belongs; copies the concatenated parts that aren't."""
        if node.op not in VIEWS or node.epilogue is not None:
            return False
        result = outputs[0]
        if not isinstance(result, Slot):
            return False
        if node.op != "concat":
            return isinstance(inputs[0], Slot) and inputs[0].root is result.root
        if not any(isinstance(part, Slot) and part.root is result.root for part in inputs):
            return False
        channels = 0
        for value, part in zip(node.inputs, inputs, strict=True):
            if not (isinstance(part, Slot) and part.root is result.root and _at(part, result, channels)):
                self._copy_part(node, value, part, result, channels)
            channels += value.type.shape[0]
        return True

    def _copy_part(self, node: Node, value: Value, part: Place, result: Slot, channels: int) -> None:
        own = self._plain_slot(value)
        own.merge_into(result, channels // self.target.block)
        self._draft("relayout", f"{node.name}.{value.name}", [part], [own], value, node.spans)

    def _store_outputs_of(self, node: Node) -> None:
        for index, value in enumerate(self.graph.outputs.values()):
            if value.node is node:
                self._store(index, value)

    def _store_remaining_outputs(self) -> None:
        """Outputs that are inputs or weights themselves."""
        computed = {id(node) for node in self.nodes}
        for index, value in enumerate(self.graph.outputs.values()):
            if id(value.node) not in computed:
                self._store(index, value)

    def _store(self, index: int, value: Value) -> None:
        place = self._place_of(value, None)
        view = self._callers(Region.OUTPUT, index, value.type)
        self._draft("store_output", value.name, [place], [view], value, value.node.spans)

    def _copy_remaining_updates(self) -> None:
        for param, value in self.pending_updates:
            home = self.places[param]
            layout = _layout(home)
            source = self._place_of(value, layout if _is_packed(home) and not isinstance(layout, Blocked) else None)
            self._draft("relayout", value.name, [source], [home], value, value.node.spans)

    def _keep_for_all_parts(self) -> None:
        """Let buffers that hold more than a part live from the first step to the last of those that run in turn."""
        ends = list(self._ends_of_loops())
        for owner in self.owners.values():
            if isinstance(owner, Packed):
                continue
            for time in (owner.first, owner.last):
                if owner.batch > self.batch // self.drafts[time].times:
                    owner.touch(ends[time][0])
                    owner.touch(ends[time][1])

    def _ends_of_loops(self) -> Iterator[tuple[int, int]]:
        """Of every step the first and the last of those that take the batch in equal parts with it."""
        start = 0
        for _, group in groupby(self.drafts, key=lambda draft: draft.times):
            stop = start + len(list(group))
            yield from [(start, stop - 1)] * (stop - start)
            start = stop

    # -- offsets ---------------------------------------------------------------------------

    def _finish(self) -> Plan:
        offsets, arena = self.place_arena()
        plan = Plan(self.graph.name, self.target.name, self.batch, self.threads)
        plan.weights, plan.weights_size = self.weights, self.weights_size
        plan.inputs = [(node.name, node.output.type) for node in self.graph.inputs]
        plan.outputs = [(name, value.type) for name, value in self.graph.outputs.items()]
        plan.arena_size = arena
        plan.steps = [self._step(draft, offsets) for draft in self.drafts]
        return plan

    def place_arena(self) -> tuple[dict[int, int], int]:
        """Offsets by identity of the slot or buffer, and the arena's size."""
        intervals = {
            ident: Interval(owner.elements() if isinstance(owner, Slot) else owner.size, owner.first, owner.last)
            for ident, owner in self.owners.items()
        }
        arena = place(list(intervals.values()), self.target.alignment)
        return {ident: interval.offset for ident, interval in intervals.items()}, arena

    def _step(self, draft: Draft, offsets: dict[int, int]) -> Step:
        samples = self.batch // draft.times

        def view(item: Place) -> View:
            match item:
                case View():
                    return item
                case ResidentWeight():
                    shift = item.layout.origin if isinstance(item.layout, Blocked) else 0
                    return View(Region.WEIGHTS, item.offset + shift, item.layout, item.type.dtype)
                case Packed():
                    return View(Region.ARENA, offsets[id(item)], item.layout)
                case Slot():
                    layout = item.layout()
                    start = offsets[id(item.root)] + item.offset_blocks * layout.cb_stride + layout.origin
                    if layout.batch <= samples:
                        return View(Region.ARENA, start, layout, item.dtype)
                    part = replace(layout, batch=samples)
                    return View(Region.ARENA, start, part, item.dtype, samples * layout.n_stride)

        return Step(
            draft.op,
            draft.name,
            draft.attrs,
            tuple(view(item) for item in draft.inputs),
            tuple(view(item) for item in draft.outputs),
            draft.input_types,
            draft.output_types,
            draft.epilogue,
            draft.epilogue_inputs,
            view(draft.scratch) if draft.scratch else None,
            draft.spans,
            draft.joined,
            draft.times,
        )


def _layout(place: Place) -> Layout | None:
    return None if isinstance(place, Slot) else place.layout


def _is_packed(place: Place) -> bool:
    return not isinstance(place, Slot) and not isinstance(_layout(place), Blocked)


def _at(part: Slot, whole: Slot, channels: int) -> bool:
    """Whether ``part`` lies ``channels`` channels into ``whole``."""
    return part.offset_blocks == whole.offset_blocks + channels // whole.root.block
