"""The worker pool and the barrier: same results for any number of threads, two callers at once, forks, exit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from netdsl_llvm.compile import Loaded, load, object_code
from netdsl_llvm.emit import POINTER, ModuleBuilder
from netdsl_llvm.entry import BARRIER_BYTES
from netdsl_llvm.pool import process_pool
from netdsl_llvm.sync import byte_offset, emit_barrier
from netdsl_llvm.target import Target

ITEMS, ROUNDS = 37, 20


@pytest.fixture(scope="module")
def job() -> Loaded:
    """`job(thread, threads, [barrier, data])`: each round reads the last one's row backwards and writes its own."""
    module = ModuleBuilder(Target.host())
    barrier = emit_barrier(module)
    k = module.job("job")
    state = k.b.load(k.arg("arguments"), typ=POINTER)
    data = k.b.load(byte_offset(k.b, k.arg("arguments"), 8), typ=POINTER)
    with k.loop(0, ROUNDS) as row:
        begin, end = k.share(ITEMS)
        with k.loop(begin, end) as i:
            value = k.load_float(data, k.add(k.mul(row, ITEMS), k.sub(ITEMS - 1, i)))
            k.store(k.b.fadd(value, k.f(1.0)), data, k.add(k.mul(k.add(row, 1), ITEMS), i))
        k.b.call(barrier, [state, k.arg("threads")])
    k.b.ret_void()
    return load(object_code(str(module.ir), module.target), ["job"])


def run(job: Loaded, threads: int) -> np.ndarray:
    barrier = np.zeros(BARRIER_BYTES // 8 + 8, np.int64)
    data = np.zeros((ROUNDS + 1, ITEMS), np.float32)
    data[0] = np.arange(ITEMS)
    arguments = np.array([barrier.ctypes.data + -barrier.ctypes.data % 64, data.ctypes.data], np.int64)
    process_pool().run(job.address("job"), arguments.ctypes.data, threads)
    return data


def expected() -> np.ndarray:
    rows = [np.arange(ITEMS, dtype=np.float32)]
    for _ in range(ROUNDS):
        rows.append(rows[-1][::-1] + 1)
    return np.array(rows)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_every_number_of_threads_gives_the_same(job: Loaded, threads: int) -> None:
    for _ in range(3):
        assert np.array_equal(run(job, threads), expected())


def test_two_callers_at_once(job: Loaded) -> None:
    results: list[bool] = []

    def caller() -> None:
        results.extend(np.array_equal(run(job, 2), expected()) for _ in range(20))

    callers = [threading.Thread(target=caller) for _ in range(3)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert results == [True] * 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_its_own_workers(job: Loaded) -> None:
    run(job, 2)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(run(job, 2), expected()) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(run(job, 2), expected())


def test_too_many_threads(job: Loaded) -> None:
    with pytest.raises(ValueError, match="threads must be"):
        run(job, 10_000)


def test_a_process_with_workers_exits_cleanly() -> None:
    code = "from netdsl_llvm.pool import process_pool; process_pool()._start_worker(); print('up')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "up\n"
    assert done.stderr == ""
