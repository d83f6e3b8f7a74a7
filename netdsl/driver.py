"""The way from text to a running network: one flat list of stages.

    .net text -> tree -> layer graph -> (training step) -> optimized graph -> plan -> code

Everything else that builds networks (report, training, the Python interface) uses these same functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Code, ResourceLimit, UserError, did_you_mean
from netdsl.no_collections import no_collections
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.backend import Device
    from netdsl.elaborate import Model
    from netdsl.elaborate.probe import Probe
    from netdsl.ir.graph import Graph
    from netdsl.passes import Pass, PassReport
    from netdsl.plan.executor import Array, Executor
    from netdsl.plan.plan import Plan
    from netdsl.plan.planner import Decided
    from netdsl.report.cost import CostReport
    from netdsl.report.model import Report
    from netdsl.report.peak import Peaks
    from netdsl.report.recomputation import Recomputation

STAGES = ("tree", "graph", "step", "optimized", "plan", "llvm", "asm", "obj")
"""What ``--emit`` knows; those after the plan are the CPU backend's, others may differ."""

MAX_THREADS = 256
"""Of one network; every backend for CPUs takes as many."""


@record
class Origin:
    """Which network: where its text is, and what is decided from outside.

    ``arguments`` are values or their text; ``size`` is (height, width) for symbolic sizes, ``sizes`` binds them by
    name.
    """

    where: str
    net: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None


@record
class Build:
    """How to compile. ``passes`` None means the default ones; ``training`` compiles the whole step.

    ``exact``: only algorithms that do the arithmetic of an op's definition. ``memory``: bytes that the plan of a
    training step may take, weights and optimizer state included; what would have to wait beyond that is computed again.
    """

    target: str = "cpu"
    batch: int = 1
    threads: int | None = None
    passes: Sequence[str] | None = None
    training: bool = False
    verify: bool = False
    exact: bool = False
    memory: int | None = None


@record
class Emitted:
    """A stage in a form to read (or bytes), and what the passes did if they ran."""

    content: str | bytes
    passes: PassReport | None = None


def emit(origin: Origin, build: Build, stage: str) -> Emitted:
    """The network at one of ``STAGES``. Deterministic: the same input gives the same bytes."""
    if stage == "tree":
        from netdsl.syntax.printer import print_tree

        return Emitted(print_tree(parse(origin)))

    from netdsl.ir.printer import print_graph

    model = load(origin)
    if stage == "graph":
        return Emitted(print_graph(model.graph))
    graph = training_step(model) if build.training or stage == "step" else model.graph
    if stage == "step":
        return Emitted(print_graph(graph))
    graph, report = optimize(graph, build)
    if stage == "optimized":
        return Emitted(print_graph(graph), report)
    device = find_device(build)
    plan = make_plan(graph, device, build)
    if stage == "plan":
        from netdsl.plan.printer import print_plan

        return Emitted(print_plan(plan), report)
    return Emitted(device.emit(plan, _code_stage(device, stage)), report)


# -- the stages --------------------------------------------------------------------------------------


@no_collections()
def load(origin: Origin) -> Model:
    """Text to layer graph. Raises UserError with every error of the file, and the legal sizes where those are wrong."""
    from netdsl.elaborate import elaborate
    from netdsl.elaborate.files import load_program
    from netdsl.resolve import resolve

    found = resolve(origin.where)
    module = load_program(found.path)

    def build(probe: Probe | None = None) -> Model:
        net = origin.net or found.net
        return elaborate(module, net, origin.arguments, origin.sizes, image_size=origin.size, probe=probe)

    try:
        return build()
    except UserError as error:
        from netdsl.report.legal_sizes import helped

        raise helped(error, build) from None


def training_step(model: Model) -> Graph:
    """The graph of one training step, as the file's ``train`` block says. Raises UserError if it has none."""
    from netdsl.autodiff import training_graph
    from netdsl.train.soft_targets import with_soft_targets

    if model.train is None:
        raise UserError.of(
            Code.NO_TRAIN,
            f"{model.source.name} does not say how to train `{model.name}`",
            help=f"add `train {model.name} {{ ... }}`",
        )
    train = model.train
    settings = dict(train.optimizer.arguments)
    settings.pop("lr", None)  # an input of the step, not a part of it
    graph, loss = with_soft_targets(train.graph, train.loss, train.soft_targets)
    return training_graph(graph, loss, optimizer=(train.optimizer.name, settings), rule=train.rule)


def optimize(graph: Graph, build: Build, *, copy: bool = True) -> tuple[Graph, PassReport]:
    """The passes over a copy of ``graph``, or over itself.

    Raises ResourceLimit where a training step cannot keep to ``build.memory``.
    """
    from netdsl.passes import Mode, run_passes

    mode = Mode.TRAINING if graph.updates else Mode.INFERENCE
    passes = [*choose_passes(build.passes)]
    if graph.updates and build.memory is not None:
        passes.append(_fit_memory(build, build.memory))
    return run_passes(graph, passes, mode=mode, verify=build.verify, copy=copy)


def _fit_memory(build: Build, budget: int) -> Pass:
    from netdsl.passes.fit_memory import FitMemory
    from netdsl.plan.moment import Moment, worst_moment

    target, threads = find_device(build).plan_target, build.threads or usable_cores()

    def look(graph: Graph, decided: Decided | None) -> Moment:
        return worst_moment(graph, target, batch=build.batch, threads=threads, decided=decided)

    return FitMemory(budget, build.batch, look)


def find_device(build: Build) -> Device:
    """The device that ``target`` names. Raises UserError, DeviceMissing."""
    from netdsl import backend

    device = backend.find_device(build.target)
    return device.exact() if build.exact else device


def make_plan(graph: Graph, device: Device, build: Build) -> Plan:
    """Layouts, kernels and every buffer's place. Raises Unsupported where the device has no kernel."""
    from netdsl.plan.planner import plan_graph

    return plan_graph(graph, device.plan_target, batch=build.batch, threads=build.threads or usable_cores())


@no_collections()
def make_executor(graph: Graph, parameters: Mapping[str, Array], build: Build) -> Executor:
    """A graph (of a net, or of a training step) compiled, with its parameters resident."""
    device = find_device(build)
    graph, _ = optimize(graph, build)
    plan = make_plan(graph, device, build)
    check_memory(plan)
    return device.compile(graph, plan, parameters)


def report(model: Model, build: Build) -> Report:
    """Everything known of a network without running it; loads no code generator."""
    from netdsl.report.memory import Planner
    from netdsl.report.model import build_report

    device = find_device(build)
    step = training_step(model) if model.train is not None else None

    def arena_bytes(graph: Graph) -> int:
        from netdsl.plan.planner import arena_size

        # a training step was made for this alone
        optimized, threads = optimize(graph, build, copy=graph is model.graph)[0], build.threads or usable_cores()
        return 4 * arena_size(optimized, device.plan_target, batch=build.batch, threads=threads)

    return build_report(model, step, Planner(build.target, build.batch, arena_bytes))


def cost(model: Model, build: Build, machine: str | None = None) -> CostReport:
    """Work and memory traffic of a batch, and times on a machine (``measured`` or a file). Raises UserError."""
    from netdsl.measured import find_machine
    from netdsl.report.cost import build_cost

    found = find_machine(machine) if machine is not None else None
    return build_cost(model.graph, optimize(model.graph, build)[0], build.batch, found, build.threads)


def peaks(model: Model, build: Build) -> Peaks:
    """What is alive at the worst step of the plans for inference and training."""
    from netdsl.plan.peak import Peak, peak_of
    from netdsl.plan.planner import draft_graph
    from netdsl.report.peak import peaks_of

    device, threads = find_device(build), build.threads or usable_cores()
    step = training_step(model) if model.train is not None else None

    def find(graph: Graph) -> Peak:
        return peak_of(draft_graph(optimize(graph, build)[0], device.plan_target, batch=build.batch, threads=threads))

    return peaks_of(model.graph, step, build.target, build.batch, find)


def recomputation(model: Model, build: Build) -> Recomputation:
    """What a training step computes again to keep to ``build.memory`` (a default one without a ``train`` block).

    Raises ResourceLimit where it cannot, Unsupported.
    """
    from netdsl.report.default_step import default_step
    from netdsl.report.recomputation import recomputation_of

    step = training_step(model) if model.train is not None else default_step(model.graph)
    device = find_device(build)
    graphs = [optimize(step, replace(build, memory=memory))[0] for memory in (None, build.memory)]
    plans = [make_plan(graph, device, build) for graph in graphs]
    ordinary, planned = (plan.arena_bytes + plan.weights_bytes for plan in plans)
    return recomputation_of(graphs[1], build.batch, build.memory, ordinary, planned, plans[1].weights_bytes)


def largest_batch(model: Model, build: Build, limit: int, most: int) -> int:
    """The largest batch up to ``most`` whose plan and weights take at most ``limit`` bytes; 0 if none does.

    Plans the network, or with ``build.training`` its training step (a default one without a ``train`` block), at
    batches found by bisection: memory grows with the batch. Raises Unsupported.
    """
    from netdsl.report.default_step import default_step

    graph = model.graph
    if build.training:
        graph = training_step(model) if model.train is not None else default_step(graph)
    graph, device = optimize(graph, build)[0], find_device(build)

    def fits(batch: int) -> bool:
        plan = make_plan(graph, device, replace(build, batch=batch))
        return plan.arena_bytes + plan.weights_bytes <= limit

    low, high = 0, 1
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


# -- choices -----------------------------------------------------------------------------------------


def choose_passes(names: Sequence[str] | None) -> Sequence[Pass]:
    """Passes by name, in the default order; None for all, an empty list for none. Raises UserError."""
    from netdsl.passes import DEFAULT

    if names is None:
        return DEFAULT
    known = [item.name for item in DEFAULT]
    for name in names:
        if name not in known:
            raise UserError.of(
                Code.BAD_OPTION,
                f"there is no pass `{name}`",
                notes=[f"passes: {', '.join(known)}"],
                help=did_you_mean(name, known),
            )
    return [item for item in DEFAULT if item.name in names]


def check_memory(plan: Plan) -> None:
    """Raises ResourceLimit where a plan needs more memory than the machine has."""
    needed, present = plan.arena_bytes + plan.weights_bytes, _machine_memory()
    if needed > present:
        raise ResourceLimit.of(
            Code.LIMIT_MEMORY,
            f"`{plan.name}` needs {needed / 2**30:.1f} GiB at batch {plan.batch}",
            notes=[f"this machine has {present / 2**30:.1f} GiB"],
            help="a smaller `--batch` needs less" if plan.batch > 1 else None,
        )


def _machine_memory() -> float:
    """Bytes; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def usable_cores() -> int:
    """Cores this process may run on, at most ``MAX_THREADS``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores, 1), MAX_THREADS)


def _code_stage(device: Device, stage: str) -> str:
    if stage in device.stages:
        return stage
    raise UserError.of(
        Code.BAD_OPTION,
        f"{device.name} has no stage `{stage}`",
        notes=[f"after the plan it has {', '.join(device.stages)}"],
    )


def parse(origin: Origin) -> Any:
    """Text to tree, without what the file uses."""
    from netdsl.elaborate.files import read_source
    from netdsl.resolve import resolve
    from netdsl.syntax.parser import parse as parse_source

    return parse_source(read_source(resolve(origin.where).path))
