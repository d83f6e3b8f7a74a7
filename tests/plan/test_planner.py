"""Plans of random networks and of training steps, run in a poisoned arena, equal the reference interpreter."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netdsl.autodiff import training_graph
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.ops.base import Init
from netdsl.passes import run_passes
from netdsl.plan.arena import Interval, place
from netdsl.plan.layout import NO_HALO, Blocked, Halo, WeightLayout
from netdsl.plan.parts import Parts
from netdsl.plan.plan import Plan, Region, View
from netdsl.plan.planner import arena_size, plan_graph
from netdsl.plan.printer import print_plan
from netdsl.reference import Interpreter, evaluate_weights
from netdsl.weights.initialize import initial_parameters
from tests import networks
from tests.passes.test_random_nets import nets
from tests.plan.simulate import simulate

Array = np.ndarray[Any, Any]
QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Padded:
    """A weight layout that is plain order with some zeros behind; ``kind`` keeps layouts apart."""

    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape)) + 3

    def pack(self, array: Array) -> Array:
        return np.concatenate([np.asarray(array, np.float32).reshape(-1), np.zeros(3, np.float32)])

    def unpack(self, flat: Array) -> Array:
        return flat[:-3].reshape(self.shape)


@dataclass(frozen=True)
class FakeTarget:
    """Four lanes; convolutions want halos and packed weights, their gradients the same or another packing."""

    name: str = "fake"
    block: int = 4
    alignment: int = 8
    parts: tuple[int, ...] = ()
    """Sizes of parts that nodes take in turn, three of them each; what does not divide the batch is left out."""

    def useful_threads(self, graph: Graph, batch: int, threads: int) -> int:
        return threads

    def part_sizes(self, nodes: Sequence[Node], resident: Set[int], batch: int) -> list[int]:
        sizes = [size for size in self.parts if batch % size == 0] or [batch]
        return [sizes[index // 3 % len(sizes)] for index in range(len(nodes))]

    def for_graph(self, graph: Graph, resident: Set[int], *, parts: Parts, threads: int) -> FakeTarget:
        return self

    def operand_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        packed = {"conv": "forward", "deconv": "backward", "fc": "matrix", "conv_grad_input": "backward"}
        if operand == 1 and node.op in packed:
            return Padded(packed[node.op], node.inputs[1].type.shape)
        return None

    def home_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return self.operand_layout(node, operand, batch)

    def result_layout(self, node: Node, result: int, batch: int) -> WeightLayout | None:
        packed = {"conv_grad_weight": "forward", "fc_grad_weight": "matrix"}
        return Padded(packed[node.op], node.types[0].shape) if node.op in packed else None

    def halo(self, node: Node, operand: int) -> Halo:
        wanted = {"conv": 0, "conv_grad_weight": 1}
        if wanted.get(node.op) == operand:
            top, bottom, left, right = node.attrs["pad"]
            return top, bottom, left, right
        return NO_HALO

    def narrow(self, node: Node, operand: int) -> bool:
        return node.op == "conv" and operand == 0

    def in_place(self, node: Node) -> tuple[int, ...]:
        return tuple(range(len(node.inputs))) if node.op in ("add", "mul", "relu", "map", "bn", "tanh") else ()

    def joins(self, node: Node, reader: Node) -> bool:
        return node.op == "conv" and reader.op in ("maxpool", "avgpool")

    def scratch(self, node: Node, batch: int, threads: int) -> int:
        return 5 if node.op == "conv" else 0


WHOLE = FakeTarget()


def arrays_for(graph: Graph, batch: int) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    arrays: dict[str, Array] = {}
    for node in graph.inputs:
        shape = node.output.type.full_shape(batch)
        if node.output.type.dtype.value == "i32":
            arrays[node.name] = rng.integers(0, 2, shape).astype(np.int32)
        else:
            arrays[node.name] = rng.standard_normal(shape).astype(np.float32)
    return arrays


def resident_values(graph: Graph, params: dict[str, Array]) -> dict[str, Array]:
    """Parameters, and what is computed from them at load."""
    return {**params, **evaluate_weights(graph, params)}


def check(graph: Graph, batch: int, target: FakeTarget = WHOLE) -> Plan:
    params = initial_parameters(graph.params, seed=3)
    inputs = arrays_for(graph, batch)
    plan = plan_graph(graph, target, batch=batch)
    assert arena_size(graph, target, batch=batch) == plan.arena_size
    outputs, memory = simulate(plan, resident_values(graph, params), inputs)
    expected = Interpreter(graph).run(inputs, params)
    for name, array in expected.outputs.items():
        np.testing.assert_allclose(outputs[name].reshape(array.shape), array, rtol=2e-4, atol=2e-4, err_msg=name)
    for weight in plan.weights:
        if weight.name in expected.updates:
            flat = memory.weights[weight.offset : weight.offset + weight.layout.size]
            array = expected.updates[weight.name]
            got = weight.layout.unpack(flat).reshape(array.shape)
            np.testing.assert_allclose(got, array, rtol=2e-4, atol=2e-4, err_msg=weight.name)
    return plan


@QUICK
@given(graph=nets(), batch=st.integers(1, 2), fused=st.booleans())
def test_random_networks(graph: Graph, batch: int, fused: bool) -> None:
    check(run_passes(graph)[0] if fused else graph, batch)


@QUICK
@given(
    graph=nets(),
    batch=st.sampled_from((2, 4, 6)),
    parts=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    fused=st.booleans(),
)
def test_random_networks_in_parts(graph: Graph, batch: int, parts: tuple[int, ...], fused: bool) -> None:
    """Whatever part of the batch each layer takes at a time; borders lie within blocks and concatenations."""
    check(run_passes(graph)[0] if fused else graph, batch, FakeTarget(parts=parts))


def test_parts_take_room_for_a_part() -> None:
    """A run of layers alone in its parts; the borders of runs lie in memory whole."""
    graph, _, _ = networks.resnet()
    graph = run_passes(graph)[0]
    whole, parts = check(graph, 6), check(graph, 6, FakeTarget(parts=(2,)))
    assert {step.times for step in parts.steps} == {3}
    assert parts.arena_size < whole.arena_size / 2
    assert all(view.stride == 0 for step in parts.steps for view in step.inputs if view.region is Region.ARENA)
    mixed = check(graph, 6, FakeTarget(parts=(2, 6, 1)))
    assert {step.times for step in mixed.steps} == {1, 3, 6}
    assert parts.arena_size < mixed.arena_size


def test_inputs_that_are_results_stay_whole() -> None:
    graph = Graph("through")
    b = builder(graph)
    x = b.input("x", TensorType((3, 4, 4)))
    graph.outputs["y"] = b.op("relu", [x], {}, name="relu").output
    graph.outputs["x_again"] = x
    check(graph, 4)
    check(graph, 4, FakeTarget(parts=(1,)))


def test_training_runs_the_whole_batch() -> None:
    """Its statistics and gradients are those of all samples."""
    graph, loss, _ = networks.resnet()
    step = training_graph(graph, loss, optimizer=("sgd", {}))
    assert {entry.times for entry in check(step, 4, FakeTarget(parts=(1, 2))).steps} == {1}


def test_parts_must_divide_the_batch() -> None:
    graph, _, _ = networks.lenet()
    graph = run_passes(graph)[0]
    with pytest.raises(ValueError, match=r"parts of \[3\] samples do not divide a batch of 4"):
        plan_graph(graph, Thirds(), batch=4)


class Thirds(FakeTarget):
    """Asks for what cannot be had."""

    def part_sizes(self, nodes: Sequence[Node], resident: Set[int], batch: int) -> list[int]:
        return [3] * len(nodes)


@pytest.mark.parametrize("make", [networks.lenet, networks.resnet, networks.densenet, networks.unet])
def test_training_steps(make: Any) -> None:
    graph, loss, logits = make()
    step = training_graph(
        graph, loss, optimizer=("sgd", {"momentum": 0.9, "weight_decay": 0.01}), outputs={"logits": logits}
    )
    plan = check(step, 3)
    written = [entry for entry in plan.steps if entry.outputs[0].region is Region.WEIGHTS]
    copies = [entry.name for entry in written if entry.op == "relayout"]
    assert copies == [], "every update is written over its parameter"


def test_dense_blocks_are_produced_in_place() -> None:
    graph, _, _ = networks.densenet()
    plan = plan_graph(run_passes(graph)[0], FakeTarget(), batch=1)
    joined = [step for step in plan.steps if step.op == "concat"]
    aligned = [step for step in joined if all(type.shape[0] % 4 == 0 for type in step.input_types)]
    assert aligned == []


def test_the_text_is_deterministic() -> None:
    graph, _, _ = networks.resnet()
    texts = {print_plan(plan_graph(graph, FakeTarget(), batch=2)) for _ in range(3)}
    assert len(texts) == 1
    assert "load_input" in texts.pop()


@QUICK
@given(
    items=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10), st.integers(0, 5)), min_size=1, max_size=25),
    alignment=st.sampled_from([1, 16]),
)
def test_intervals_that_live_together_do_not_overlap(items: list[tuple[int, int, int]], alignment: int) -> None:
    intervals = [Interval(size, first, first + span) for size, first, span in items]
    total = place(intervals, alignment)
    for index, one in enumerate(intervals):
        assert one.offset % alignment == 0
        assert one.offset + one.size <= total
        for other in intervals[:index]:
            together = one.first <= other.last and other.first <= one.last
            apart = one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
            assert apart or not together
    alive = max(sum(i.size for i in intervals if i.first <= time <= i.last) for time in range(16))
    assert total >= alive


@given(
    shape=st.lists(st.integers(1, 9), min_size=0, max_size=4),
    batch=st.integers(1, 3),
    block=st.sampled_from([1, 3, 4, 16]),
    halo=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_blocked_layouts_round_trip(shape: list[int], batch: int, block: int, halo: Halo) -> None:
    from netdsl.ir.types import TensorType

    type = TensorType(tuple(shape))
    layout = Blocked.of(type, batch, block, halo)
    array = np.arange(batch * type.elements, dtype=np.float32).reshape(type.full_shape(batch))
    flat = layout.pack(array)
    assert flat.size == layout.size
    np.testing.assert_array_equal(layout.unpack(flat).reshape(array.shape), array)
    assert np.count_nonzero(flat) == np.count_nonzero(array)


def test_joined_steps_write_nothing_they_read() -> None:
    """The first's operand dies there, so that the second's result could lie in its place if they were apart."""
    graph = Graph("joined")
    b = builder(graph)
    x = b.input("x", TensorType((1, 32, 32)))
    conv = {"channels": 6, "kernel": (5, 5), "pad": (0, 0, 0, 0), "bias": False}
    pool = {"kernel": (2, 2), "stride": (2, 2), "pad": (0, 0, 0, 0)}
    maps = b.op("conv", [x, b.param("w", (6, 1, 5, 5), {"init": Init("zeros")})], conv, name="conv")
    graph.outputs["y"] = b.op("maxpool", [maps.output], pool, name="pool").output
    steps = plan_graph(graph, FakeTarget(), batch=1).steps
    first, second = next((a, b) for a, b in pairwise(steps) if b.joined)
    assert (first.op, second.op) == ("conv", "maxpool")
    (start, end), (low, high) = span(first.inputs[0]), span(second.outputs[0])
    assert end <= low or high <= start


def span(view: View) -> tuple[int, int]:
    """The elements of a view that has its buffer for itself."""
    assert isinstance(view.layout, Blocked)
    start = view.offset - view.layout.origin
    return start, start + view.layout.size
