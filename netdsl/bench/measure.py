"""Times of a whole network and of its steps, taken in turns from two builds of one plan."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from netdsl import driver
from netdsl import numpy_on_use as np
from netdsl.analysis.roofline import Roof, Work
from netdsl.bench.work import work_of
from netdsl.ir.graph import Graph
from netdsl.ir.types import DType
from netdsl.machine import Machine
from netdsl.plan.executor import Array, Profiler
from netdsl.plan.plan import Step

if TYPE_CHECKING:
    from netdsl.elaborate import Model

Result = TypeVar("Result")

TURN_SECONDS = 0.01
"""Calls are repeated for so long in every round, so that a network of microseconds has steady numbers too."""
MOST_CALLS = 1000
CLOCK_SECONDS = 1e-9
"""What the clock counts; a step cannot be told to be shorter."""
WARMUPS = 3


@dataclass(frozen=True)
class Spread:
    """Seconds: the median of the rounds, and their 10th and 90th percentile."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(seconds: list[float]) -> Spread:
        tenths = statistics.quantiles(seconds, n=10, method="inclusive")
        return Spread(statistics.median(seconds), tenths[0], tenths[-1])


@dataclass(frozen=True)
class LayerTime:
    """One step of the plan: a layer with what is fused into it, or a change of layout. ``seconds`` is a median."""

    step: Step
    seconds: float
    work: Work


@dataclass(frozen=True)
class Bench:
    """Times of a network. ``total`` is the build that everyone runs, ``layers`` the one with a clock in it."""

    net: str
    target: str
    batch: int
    threads: int
    rounds: int
    machine: Machine
    total: Spread
    layers: tuple[LayerTime, ...]

    @property
    def roof(self) -> Roof:
        return Roof.of(self.machine, self.threads)

    @property
    def least_seconds(self) -> float:
        """The least time of all layers together, each at its roof."""
        return sum(self.roof.seconds(layer.work) for layer in self.layers)


def bench(model: Model, build: driver.Build, machine: Machine, rounds: int) -> Bench:
    """Run the network, or its training step, with weights as training starts with them; ``rounds`` is at least 2.

    Raises UserError, Unsupported, DeviceMissing, ResourceLimit.
    """
    from netdsl.weights.initialize import initial_parameters

    graph = _step(model) if build.training else model.graph
    parameters = initial_parameters(graph.params, seed=0)
    device = driver.find_device(build)
    graph, _ = driver.optimize(graph, build)
    plan = driver.make_plan(graph, device, build)
    driver.check_memory(plan)
    inputs = _inputs(graph, build.batch)
    executor = device.compile(graph, plan, parameters)
    profiler = device.profile(graph, plan, parameters)
    total, steps = _rounds(lambda: executor.step(inputs), lambda: _profiled(profiler, inputs), rounds)
    layers = [
        LayerTime(step, max(float(seconds), CLOCK_SECONDS), work_of(step, plan.batch))
        for step, seconds in zip(plan.steps, steps, strict=True)
    ]
    return Bench(model.name, device.name, plan.batch, plan.threads, rounds, machine, total, tuple(layers))


def _rounds(run: Callable[[], object], profile: Callable[[], Array], rounds: int) -> tuple[Spread, Array]:
    """Both in turns; the median seconds of every step over all rounds."""
    for _ in range(WARMUPS):
        run()
        profile()
    whole, steps = [], []
    for _ in range(rounds):
        whole.append(statistics.median(_turn(lambda: _seconds(run))))
        steps.append(np.median(_turn(profile), axis=0))
    return Spread.of(whole), np.median(steps, axis=0)


def _turn(call: Callable[[], Result]) -> list[Result]:
    """Results of one call after the other for ``TURN_SECONDS``, behind one that warms the caches."""
    call()
    found: list[Result] = []
    end = time.perf_counter() + TURN_SECONDS
    while not found or (len(found) < MOST_CALLS and time.perf_counter() < end):
        found.append(call())
    return found


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _profiled(profiler: Profiler, inputs: dict[str, Array]) -> Array:
    profiler.step(inputs)
    return profiler.step_seconds()


def _step(model: Model) -> Graph:
    """As the file says, or as one that says nothing is trained in reports."""
    from netdsl.report.default_step import default_step

    return driver.training_step(model) if model.train is not None else default_step(model.graph)


def _inputs(graph: Graph, batch: int) -> dict[str, Array]:
    """Random activations; zero for labels, and for the learning rate, so that the weights stay what they are."""
    random = np.random.default_rng(0)
    kinds = {node.name: node.types[0] for node in graph.inputs}
    return {
        name: np.zeros(kind.full_shape(batch), np.int32 if kind.dtype is DType.I32 else np.float32)
        if kind.dtype is DType.I32 or not kind.shape
        else random.standard_normal(kind.full_shape(batch), np.float32)
        for name, kind in kinds.items()
    }
