"""netdsl's training step, as ``netdsl train`` compiles it."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.autodiff import training_graph
from netdsl.driver import Build, check_memory, find_device, make_plan, optimize
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types
from netdsl.weights.initialize import initial_parameters
from tests.bench.memory import resident_bytes
from tests.bench.nets import Array
from tests.bench.peers import OURS
from tests.bench.trainers import Step
from tests.bench.training_task import LABEL, SGD, TrainingTask

PACKAGES = ("netdsl", "llvmlite")


def make(task: TrainingTask, threads: int) -> Step:
    import llvmlite.binding  # noqa: F401  (before the memory of the start is read)

    start = resident_bytes()
    build = Build(batch=task.batch, threads=threads, training=True)
    graph, device = optimize(step_graph(task), build)[0], find_device(build)
    plan = make_plan(graph, device, build)
    check_memory(plan)
    executor = device.compile(graph, plan, _state(graph, task))

    def run(inputs: Mapping[str, Array]) -> list[Array]:
        return [executor.step(inputs)["loss"].reshape(())]

    return Step(run, start, plan.arena_bytes + plan.weights_bytes)


def step_graph(task: TrainingTask) -> Graph:
    """Forward, softmax cross entropy, backward and SGD."""
    graph, scores = task.net()
    build = GraphBuilder(graph, infer_types)
    label = build.input(LABEL, TensorType(scores.type.shape[1:], True, DType.I32))
    loss = build.op("cross_entropy", [scores, label]).output
    return training_graph(graph, loss, optimizer=("sgd", {**SGD, "nesterov": False}))


def _state(graph: Graph, task: TrainingTask) -> dict[str, Array]:
    """The weights of the task, and what the optimizer starts with."""
    given = task.parameters()
    own = initial_parameters([node for node in graph.params if node.name not in given], seed=0)
    return {node.name: given.get(node.name, own.get(node.name)) for node in graph.params}


PROGRAMS = {OURS: make}
