"""Where a network's time goes, kernel by kernel: python -m tests.bench.step_times zoo:resnet50 [--batch N] [--training]

The compiled function reads the processor's time-stamp counter between its steps; the least of many runs is shown, in
microseconds and in parts of the whole.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np

from netdsl.driver import Build, Origin, find_device, load, make_plan, optimize, training_step
from netdsl.ir.types import DType
from netdsl.plan.plan import Plan, Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.compile import object_code
from netdsl_llvm.emit import I64
from netdsl_llvm.runtime import Program
from netdsl_llvm.target import Target


class TimedRun(RunBuilder):
    """A run function that leaves the counter's value after every step in `marks`."""

    def __init__(self, plan: Plan, target: Target) -> None:
        super().__init__(plan, target)
        self.marks = np.zeros(len(plan.steps) + 1, np.int64)
        self._mark(0)
        for index, step in enumerate(plan.steps, 1):
            self.step(step)
            self._mark(index)

    def _mark(self, index: int) -> None:
        counter = self.k.b.call(self.module.function("llvm.readcyclecounter", I64, []), [])
        address = self.k.b.inttoptr(I64(self.marks.ctypes.data + 8 * index), I64.as_pointer())
        self.k.b.store(counter, address)


def measure(plan: Plan, target: Target, seconds: float) -> np.ndarray:
    """Microseconds of every step, the least of the runs that fit into `seconds`."""
    run = TimedRun(plan, target)
    program = Program(plan, object_code(run.finish(), target))
    rng = np.random.default_rng(0)
    program._weights[:] = rng.standard_normal(program._weights.shape) * 0.01
    inputs = [
        np.zeros(kind.full_shape(plan.batch), np.int32)
        if kind.dtype is DType.I32
        else np.asarray(rng.standard_normal(kind.full_shape(plan.batch)), np.float32)
        for _, kind in plan.inputs
    ]
    runs, ticks_per_second = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(runs) < 3:
        start = time.perf_counter()
        program.run(inputs)
        taken = np.diff(run.marks)
        runs.append(taken)
        ticks_per_second.append(taken.sum() / (time.perf_counter() - start))
    return np.min(runs, axis=0) / max(ticks_per_second) * 1e6


def show(steps: list[Step], times: np.ndarray, count: int) -> None:
    total = times.sum()
    kinds: dict[str, list[float]] = defaultdict(list)
    for step, taken in zip(steps, times, strict=True):
        kinds[step.op].append(taken)
    print(f"{total:.0f} us in {len(steps)} steps")
    for op, taken in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        print(f"{op:20} {len(taken):4} x {sum(taken):10.1f} us {100 * sum(taken) / total:5.1f}%")
    print()
    for index in np.argsort(-times)[:count]:
        step = steps[index]
        shapes = f"{step.input_types[0]} -> {step.output_types[0]}"
        print(f"{times[index]:10.1f} us  {step.op:18} {step.name:36} {shapes} {step.epilogue or ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--top", type=int, default=20)
    given = parser.parse_args()
    model = load(Origin(given.file))
    build = Build(given.target, given.batch, 1, training=given.training)
    graph, _ = optimize(training_step(model) if given.training else model.graph, build)
    device = find_device(build)
    plan = make_plan(graph, device, build)
    show(plan.steps, measure(plan, device.target, given.seconds), given.top)


if __name__ == "__main__":
    main()
