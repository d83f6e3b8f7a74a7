"""Code that is made to be measured: every step waits for all threads and then writes down what a clock says.

The steps' kernels are those of the plan as it is run; only what stands between them is different, so their times add
up to a little more than a run of the ordinary code takes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from netdsl.ir.graph import Graph
from netdsl.plan.executor import Array
from netdsl.plan.plan import Plan, Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import I32, POINTER
from netdsl_llvm.entry import CLOCK_SLOT
from netdsl_llvm.executor import CpuExecutor
from netdsl_llvm.runtime import Program
from netdsl_llvm.target import Target

CLOCK = getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC)
"""Steady, and of nanoseconds: macOS counts CLOCK_MONOTONIC in microseconds."""
TIMESPEC_FLOATS = 4
"""The size of `struct timespec` (POSIX, 64 bits): seconds and nanoseconds, 8 bytes each."""


def timed_module_text(plan: Plan, target: Target) -> str:
    """The LLVM IR of a plan with a clock. Raises Unsupported for a step that has no kernel."""
    run = _TimedRun(plan, target)
    run.steps()
    return run.finish()


class _TimedRun(RunBuilder):
    """Thread 0 reads the clock once before the first step and once behind every step."""

    def __init__(self, plan: Plan, target: Target) -> None:
        super().__init__(plan, target)
        self._marks, self._marks_of_part = 0, 0
        self._mark()

    def loop(self, times: int, steps: list[Step]) -> None:
        """Every part has times of its own."""
        self._marks_of_part = len(steps)
        super().loop(times, steps)
        self._marks += (times - 1) * len(steps)

    def step(self, step: Step, reader: Step | None = None) -> None:
        super().step(step, reader)
        self.barrier()
        self._mark()
        if reader is not None:
            self._mark()

    def _mark(self) -> None:
        read = self.module.function("clock_gettime", I32, [I32, POINTER])
        times = self.slot(CLOCK_SLOT)
        with self.k.when(self.k.compare("==", self.k.arg("thread"), 0)):
            row = self.k.add(self.k.mul(self.part, self._marks_of_part), self._marks)
            self.k.b.call(read, [I32(CLOCK), self.k.at(times, self.k.mul(row, TIMESPEC_FLOATS))])
        self._marks += 1


class TimedProgram(Program):
    """Machine code with a clock, and the times it wrote down."""

    def __init__(self, plan: Plan, code: bytes) -> None:
        super().__init__(plan, code)
        self._times = np.zeros((sum(step.times for step in plan.steps) + 1, 2), np.int64)
        self._arguments[CLOCK_SLOT] = self._times.ctypes.data

    def step_seconds(self) -> npt.NDArray[np.float64]:
        """Seconds that each step took in the latest run, for all parts of the batch."""
        whole, nano = np.diff(self._times, axis=0).T
        seconds, start, found = np.asarray(whole + nano * 1e-9, np.float64), 0, []
        for times, steps in self.plan.loops():
            stop = start + times * len(steps)
            found.append(seconds[start:stop].reshape(times, len(steps)).sum(axis=0))
            start = stop
        return np.concatenate([np.zeros(0), *found])


class TimedExecutor(CpuExecutor):
    """`netdsl.plan.executor.Profiler`."""

    def __init__(self, graph: Graph, program: TimedProgram, parameters: Mapping[str, Array]) -> None:
        super().__init__(graph, program, parameters)
        self._timed = program

    def step_seconds(self) -> Array:
        """Seconds that each step of the plan took in the latest run."""
        return self._timed.step_seconds()
