"""netdsl itself, as a user calls it."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.driver import Build, make_executor
from tests.bench.nets import Array, Task
from tests.bench.peers import OURS, Program

PACKAGES = ("netdsl", "llvmlite")


def make(task: Task, threads: int) -> Program:
    graph = task.network.graph()
    executor = make_executor(graph, task.parameters(), Build(batch=task.batch, threads=threads))
    names = list(graph.outputs)

    def run(inputs: Mapping[str, Array]) -> list[Array]:
        outputs = executor.step(inputs)
        return [outputs[name] for name in names]

    return run


PROGRAMS = {OURS: make}
