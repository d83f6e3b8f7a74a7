"""What several processes take for a training step, of which the batch is divided among them.

    mpiexec -n 2 python -m tests.bench.ranks zoo:resnet18 8

prints the least and the median time of a step, how much of it passed after the backward pass, waiting for sums, and the
least processor time that a step took in the leading process: on a machine with other work, that alone says something.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from netdsl import driver
from netdsl.autodiff import training_graph
from netdsl.division import SHARE
from netdsl.driver import Build, Origin
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.train.exchange import Exchange
from netdsl.train.ranks import here
from netdsl.weights.initialize import initial_parameters


class Waiting(Exchange):
    """Also counts the seconds for which a step waited."""

    waited = 0.0

    def end(self, group: int) -> None:
        started = time.perf_counter()
        super().end(group)
        self.waited += time.perf_counter() - started


def inputs_of(step: Any, count: int) -> dict[str, Any]:
    """Random pictures, the first class for all, and the numbers of a step."""
    random = np.random.default_rng(5)
    found: dict[str, Any] = {}
    for node in step.inputs:
        shape = node.output.type.full_shape(count)
        found[node.name] = np.zeros(shape, np.int32)
        if node.output.type.dtype.name == "F32":
            found[node.name] = random.standard_normal(shape).astype(np.float32)
    return found | {"lr": np.float32(1e-3).reshape(())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("batch", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sync-bn", action="store_true")
    given = parser.parse_args()
    ranks = here()
    graph = driver.load(Origin(given.network)).graph
    build = builder(graph)
    label = build.input("label", TensorType((), True, DType.I32))
    logits = next(iter(graph.outputs.values())).node.inputs[0]
    loss = build.op("cross_entropy", [logits, label]).output
    division, part = ranks.division(given.batch, given.sync_bn), ranks.part(given.batch)
    settings = {"momentum": 0.9, "nesterov": False, "weight_decay": 1e-4}
    step = training_graph(graph, loss, optimizer=("sgd", settings), division=division)
    made = Build(batch=len(part), threads=given.threads)
    executor: Any = driver.make_executor(step, initial_parameters(step.params, 1), made)
    inputs, exchange = inputs_of(step, len(part)), None
    if division is not None:
        inputs[SHARE] = np.float32(len(part) / given.batch).reshape(())
        exchange = Waiting(ranks.sums)  # type: ignore[attr-defined]
        executor.connect(exchange)
    times, waits, work = [], [], []
    for _ in range(given.steps + 2):
        before, started = exchange.waited if exchange else 0.0, time.perf_counter()
        used = time.process_time()
        executor.step(inputs)
        times.append(time.perf_counter() - started)
        work.append(time.process_time() - used)
        waits.append((exchange.waited if exchange else 0.0) - before)
    if ranks.leads:
        best = int(np.argmin(times[2:])) + 2
        trained = sum(node.output.type.elements for node in step.params if node.attrs.get("trainable", True))
        print(f"{given.network} batch {given.batch}, {ranks.count} processes of {given.threads} threads:", end=" ")
        print(f"least {1e3 * times[best]:.1f} ms a step, {1e3 * waits[best]:.1f} of it waiting", end="; ")
        print(f"median {1e3 * np.median(times[2:]):.1f} ms; {1e3 * min(work[2:]):.1f} ms of processor time", end="; ")
        print(f"{4e-6 * trained:.1f} MB of gradients")


if __name__ == "__main__":
    main()
