"""A process that runs one plan and prints what was planned for it and what it took; see test_memory.py.

    python -m tests.e2e.measure_memory KIND NET SIDE BATCH PLACE

KIND is inference or training, SIDE the image's side (0: the net's own). PLACE: ``resident`` measures resident memory;
``first`` and ``last`` give the code arrays (arena, weights, inputs, outputs) of exactly the planned sizes that begin
(end) at a page which cannot be touched, so that one access outside ends the process.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import netdsl_llvm.runtime as runtime
from netdsl.driver import Build, find_device, make_plan, optimize
from netdsl.report.default_step import default_step
from netdsl.weights.initialize import initial_parameters
from netdsl_llvm.target import ARENA_ALIGNMENT
from tests.zoo.nets import step_inputs, zoo_model

Array = np.ndarray[Any, Any]
PAGE = mmap.PAGESIZE


def resident() -> int:
    """Bytes of physical memory that hold no file and belong to this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError("no RssAnon in /proc/self/status")


def guarded(last: bool) -> Callable[[int], Array]:
    """Like ``aligned_zeros``, between two pages that must not be touched; flush with the second or with the first."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def make(floats: int) -> Array:
        size = max(floats, 1) * 4
        room = -(-size // PAGE) * PAGE
        block = mmap.mmap(-1, room + 2 * PAGE)
        whole = np.frombuffer(block, np.uint8)
        for page in (0, PAGE + room):
            if libc.mprotect(whole.ctypes.data + page, PAGE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        start = PAGE + ((room - size) // ARENA_ALIGNMENT * ARENA_ALIGNMENT if last else 0)
        return whole[start : start + size].view(np.float32)[:floats]

    return make


def guard(last: bool) -> Callable[[Array], Array]:
    """Let programs have guarded memory only; returns what makes guarded copies of their inputs."""
    make = guarded(last)

    def like(array: Array) -> Array:
        return make(array.size).view(array.dtype).reshape(array.shape)

    def receive(program: Any, port: Any) -> Array:
        array = like(np.empty(port.shape, port.dtype))
        program._arguments[port.slot] = array.ctypes.data
        return array

    def copied(array: Array) -> Array:
        copy = like(array)
        copy[...] = array
        return copy

    runtime.aligned_zeros = make
    runtime.STAGED_ELEMENTS = -1  # arrays of callers are used as they are, however small
    runtime.Program._receive = receive  # type: ignore[method-assign]
    return copied


def main(kind: str, name: str, side: str, batch: str, place: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        graph = zoo_model(name, int(side) or None, Path(folder)).graph
    if kind == "training":
        graph = default_step(graph)
    build = Build(batch=int(batch), threads=2)
    device = find_device(build)
    optimized, _ = optimize(graph, build)
    plan = make_plan(optimized, device, build)
    parameters = initial_parameters(graph.params, 0)
    inputs = [step_inputs(graph, build.batch, step) for step in range(3)]
    if place != "resident":
        copied = guard(place == "last")
        inputs = [{key: copied(array) for key, array in given.items()} for given in inputs]
    executor = device.compile(optimized, plan, parameters)
    program = executor._program  # type: ignore[attr-defined]
    before = resident()
    for given in inputs:
        outputs = executor.step(given)
        assert all(np.isfinite(array).all() for array in outputs.values())
    print(
        json.dumps(
            {
                "arena": plan.arena_bytes,
                "weights": plan.weights_bytes,
                "allocated_arena": program._arena.nbytes,
                "allocated_weights": program._weights.nbytes,
                "outputs": sum(array.nbytes for array in outputs.values()),
                "growth": resident() - before,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
