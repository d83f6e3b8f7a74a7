"""Winograd's convolutions: their matrices, their filters, and convolutions of any shape against the float64 oracle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from netdsl.ir.graph import Graph
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.passes import run_passes
from netdsl.passes.base import Mode
from netdsl.plan.planner import plan_graph
from netdsl.reference import Interpreter
from netdsl_llvm import algorithms
from netdsl_llvm.codegen import module_text
from netdsl_llvm.compile import object_code
from netdsl_llvm.executor import CpuExecutor
from netdsl_llvm.plan_target import CpuPlanTarget
from netdsl_llvm.runtime import Program
from netdsl_llvm.target import Target
from netdsl_llvm.winograd import transforms
from netdsl_llvm.winograd_costs import Costs, cheapest
from netdsl_llvm.winograd_filter import WinogradFilter
from tests.backends.llvm.harness import TARGETS
from tests.passes.test_random_nets import training_step

Array = np.ndarray[Any, Any]
few = settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
ERROR = {(2, 3): 3e-6, (4, 3): 1e-5, (6, 3): 2e-5, (2, 5): 1e-5}
"""Of a layer's largest result. The transforms multiply rounding errors by a few times what direct sums have."""
FORMS = sorted(ERROR)
PLAIN = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "bias": False, "round": "floor"}


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Winograd wherever it applies, though it may not pay."""
    monkeypatch.setattr(algorithms, "WORTH", 1e9)
    monkeypatch.setattr(algorithms, "best_filter", algorithms.best_filter.__wrapped__)
    yield


@pytest.mark.parametrize(("results", "kernel"), FORMS)
def test_the_matrices_filter(results: int, kernel: int) -> None:
    t = transforms(results, kernel)
    random = np.random.default_rng(0)
    inputs, taps = random.standard_normal(results + kernel - 1), random.standard_normal(kernel)
    products = (np.array(t.filter) @ taps) * (np.array(t.inputs) @ inputs)
    np.testing.assert_allclose(np.array(t.results) @ products, np.correlate(inputs, taps, "valid"), atol=1e-13)


@pytest.mark.parametrize(("results", "kernel"), FORMS)
@pytest.mark.parametrize(("outputs", "inputs", "groups", "vectors"), [(5, 3, 1, 1), (40, 20, 1, 2), (64, 32, 2, 2)])
def test_filters_are_unpacked_as_they_were_packed(
    results: int, kernel: int, outputs: int, inputs: int, groups: int, vectors: int
) -> None:
    filter = WinogradFilter(outputs, inputs, kernel, groups, 16, vectors, results)
    weight = np.random.default_rng(0).standard_normal(filter.shape).astype(np.float32)
    packed = filter.pack(weight)
    assert packed.shape == (filter.size,)
    np.testing.assert_allclose(filter.unpack(packed), weight, atol=2e-6)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Graph, tuple[int, int]]:
    """A convolution that Winograd applies to (wide enough for every target), with what may follow it, and its form."""
    form = draw(st.sampled_from(FORMS))
    kernel, groups = form[1], draw(st.sampled_from([1, 1, 2]))
    inputs = draw(st.integers(16, 50)) if groups == 1 else 32
    channels = draw(st.integers(1, 70)) if groups == 1 else draw(st.sampled_from([32, 64, 96]))
    pad = tuple(draw(st.integers(0, 3)) for _ in range(4))
    height, width = draw(st.integers(1, 18)), draw(st.integers(1, 33))
    assume(height + pad[0] + pad[1] >= kernel and width + pad[2] + pad[3] >= kernel)
    graph = Graph("conv")
    b = builder(graph)
    x = b.input("x", TensorType((inputs, height, width)))
    attrs = {**PLAIN, "channels": channels, "kernel": (kernel, kernel), "pad": pad, "groups": groups}
    attrs["bias"] = draw(st.booleans())
    weights = [b.param("w", (channels, inputs // groups, kernel, kernel), {})]
    weights += [b.param("bias", (channels,), {})] if attrs["bias"] else []
    (y,) = b.op("conv", [x, *weights], attrs, name="conv").outputs
    if draw(st.booleans()):
        (y,) = b.op("sigmoid", [y], {}, name="act").outputs
    graph.outputs["y"] = y
    return graph, form


@few
@given(convolutions(), st.integers(1, 3), st.integers(1, 3), st.sampled_from(TARGETS))
def test_convolutions(case: tuple[Graph, tuple[int, int]], batch: int, threads: int, target: str) -> None:
    graph, form = case
    graph = run_passes(graph)[0]
    random = np.random.default_rng(0)
    params = {node.name: _unit_weight(random, node.output.type.shape) for node in graph.params}
    x = random.standard_normal(graph.inputs[0].output.type.full_shape(batch)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithms, "RESULTS", {form[1]: (form[0],)})
        run, alone = (_executor(graph, params, target, batch, count) for count in (threads, 1))
    first, again = run.step({"x": x})["y"], run.step({"x": x})["y"]
    exact = Interpreter(graph).run({"x": x}, params).outputs["y"]
    assert np.abs(first - exact).max() <= ERROR[form] * np.abs(exact).max()
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, alone.step({"x": x})["y"])


@pytest.mark.parametrize("shape", [(96, 128, 28), (128, 192, 28), (160, 224, 14), (144, 288, 14), (192, 384, 7)])
def test_the_transform_does_not_depend_on_threads(shape: tuple[int, int, int]) -> None:
    """It changes the last bits; how the tiles are shared out doesn't."""
    inputs, outputs, size = shape
    layer = algorithms.Convolution(inputs, outputs, 3, 1, False, 1, (size, size), size, size, 1, 1, True)
    chosen = [algorithms.best_filter(Target.named("avx512"), layer, threads) for threads in range(1, 9)]
    assert len({filter.results for filter in chosen if filter is not None}) == 1


def test_groups_of_any_number_of_registers_have_a_filter() -> None:
    layer = algorithms.Convolution(160, 160, 3, 2, False, 1, (14, 14), 14, 14, 1, 1, True)
    assert [f.vectors for f in layer.filters(Target.named("avx512"), 1)] == [1, 1, 1]


channel_counts = st.tuples(st.integers(16, 40), st.integers(16, 70), st.integers(1, 40))


@few
@given(channel_counts, st.sampled_from(FORMS), st.integers(1, 3), st.booleans(), st.data())
def test_training(
    counts: tuple[int, int, int], form: tuple[int, int], threads: int, shared: bool, data: st.DataObject
) -> None:
    batch, target = data.draw(st.integers(1, 2)), data.draw(st.sampled_from(TARGETS))
    size = data.draw(st.integers(9, 14)), data.draw(st.integers(9, 14))
    pads = [data.draw(st.tuples(*[st.integers(0, form[1] - 1)] * 4)) for _ in range(2)]
    with only_ways(shared):
        check_training(counts, size, pads, form, batch, target, threads)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("target", TARGETS)
def test_training_of_many_tiles(target: str, shared: bool) -> None:
    """Filter tiles in the middle of which another thread begins; sums that are written past the caches."""
    with only_ways(shared):
        check_training((32, 192, 192), (18, 19), [(1, 1, 1, 1)] * 2, (4, 3), 2, target, 3, 1)


@contextmanager
def only_ways(shared: bool) -> Iterator[None]:
    """Filters that change are transformed tile by tile (``shared``), or all ahead."""
    with pytest.MonkeyPatch.context() as patch:
        if shared:
            patch.setattr(Costs, "_whole_filter", 1e15)
        else:
            patch.setattr(Costs, "_tiles_of", lambda costs, thread: 1e15)
        cheapest.cache_clear()
        filter = WinogradFilter(32, 32, 3, 1, 16, 2, 4)
        assert {cheapest(filter, 32, 1, 28, 28, threads, True)[0].shared for threads in (1, 2, 3)} == {shared}
        yield
    cheapest.cache_clear()


def test_weights_that_change_are_transformed_where_they_are_used() -> None:
    """No step makes filters for a convolution or the gradient of its input, and no such filter has a place."""
    graph = two_layers((16, 32, 48), (8, 8), [(1, 1, 1, 1)] * 2, 3)
    plan = plan_graph(graph, CpuPlanTarget(Target.named("avx512")), batch=2, threads=2)
    home = {weight.name: weight.layout for weight in plan.weights}
    used = [step.inputs[1].layout for step in plan.steps if step.op in ("conv", "conv_grad_input")]
    assert used == [home["first.w"], home["second.w"], home["second.w"]]
    assert not any(isinstance(v.layout, WinogradFilter) for step in plan.steps for v in (*step.inputs, *step.outputs))


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_filters_are_transformed_tile_by_tile_where_they_are_large(threads: int) -> None:
    """512 channels: 36 MB, of which a thread has a tile at a time; 64 channels over a large map: all, once."""
    target = Target.named("avx512")
    large = algorithms.Convolution(512, 512, 3, 1, False, 8, (7, 7), 7, 7, 1, 1, False)
    filter = algorithms.best_filter(target, large, threads)
    assert filter is not None and large.work(target, filter, threads).shared
    assert large.work(target, filter, threads).filters_size(filter) < filter.size / 2
    wide = algorithms.Convolution(64, 64, 3, 1, False, 1, (224, 224), 224, 224, 1, 1, False)
    filter = algorithms.best_filter(target, wide, threads)
    assert filter is not None and not wide.work(target, filter, threads).shared


def check_training(
    counts: tuple[int, int, int],
    size: tuple[int, int],
    pads: list[tuple[int, ...]],
    form: tuple[int, int],
    batch: int,
    target: str,
    *thread_counts: int,
) -> None:
    """Two layers, so that a gradient passes through the second: filters are transformed in every step, both ways. All
    numbers of threads give the same bits."""
    step = two_layers(counts, size, pads, form[1])
    assert sum(node.op.startswith("conv") for node in step.nodes) == 5, "two layers, a gradient back, two of weights"
    random = np.random.default_rng(0)
    params = {node.name: _unit_weight(random, node.output.type.shape) for node in step.params}
    counters = {"lr": np.asarray(0.1, np.float32), "step": np.asarray(0, np.int32), "seed": np.asarray(0, np.int32)}
    drawn = {n.name: random.standard_normal(n.output.type.full_shape(batch)).astype(np.float32) for n in step.inputs}
    values = drawn | {name: value for name, value in counters.items() if name in drawn}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithms, "TRAINED_RESULTS", {form[1]: (form[0],)})
        runs = [_executor(step, params, target, batch, count) for count in thread_counts]
    exact = Interpreter(step).run(values, params).updates
    for run in runs:
        run.step(values)
    after, *others = (run.get_parameters() for run in runs)
    for name, value in exact.items():
        if name in ("first.w", "second.w"):
            moved, wanted = after[name] - params[name], value - params[name]
            assert np.abs(moved - wanted).max() <= 3 * ERROR[form] * np.abs(wanted).max() + 1e-7, name
            for other in others:
                np.testing.assert_array_equal(after[name], other[name])


def two_layers(counts: tuple[int, int, int], size: tuple[int, int], pads: list[tuple[int, ...]], kernel: int) -> Graph:
    """A training step of two convolutions."""
    inputs, *channel_counts = counts
    graph = Graph("two")
    b = builder(graph)
    y = b.input("x", TensorType((inputs, *size)))
    for name, channels, pad in zip(("first", "second"), channel_counts, pads, strict=True):
        weight = b.param(f"{name}.w", (channels, y.type.shape[0], kernel, kernel), {})
        y = b.op("conv", [y, weight], {**PLAIN, "channels": channels, "kernel": (kernel,) * 2, "pad": pad}).output
    graph.outputs["y"] = y
    return run_passes(training_step(graph), mode=Mode.TRAINING)[0]


def _executor(graph: Graph, params: dict[str, Array], target: str, batch: int, threads: int) -> CpuExecutor:
    """The graph compiled with a Winograd convolution; what has not been written in its memory is NaN."""
    machine = Target.named(target)
    plan = plan_graph(graph, CpuPlanTarget(machine), batch=batch, threads=threads)
    assert all(step.scratch is not None for step in plan.steps if step.op in ("conv", "conv_grad_weight"))
    program = Program(plan, object_code(module_text(plan, machine), machine))
    program._arena[:] = np.nan
    return CpuExecutor(graph, program, params)


def _unit_weight(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Weights whose sums of products with unit inputs are about one: an activation then enlarges no error."""
    return np.asarray(random.standard_normal(shape) / np.sqrt(np.prod(shape[1:])), np.float32)
