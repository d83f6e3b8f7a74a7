"""Threads that wait inside compiled code for a network to run, made once a process.

A worker is a Python daemon thread that never comes back from its first native call, so it needs no interpreter lock:
it spins briefly for the next job, then sleeps on a condition variable. A job is `function(thread, threads, argument)`,
entered by the caller as thread 0 and by threads - 1 workers.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading

import numpy as np
import numpy.typing as npt

from netdsl_llvm.compile import Loaded, load
from netdsl_llvm.kept import kept_object
from netdsl_llvm.target import Target

MAX_THREADS = 256
_JOB = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)

# byte offsets in a pool's state; what different sides write lies on different cache lines
GENERATION, FINISHED, JOB, ARGUMENT, THREADS, STOP = 0, 64, 128, 136, 144, 152
MUTEX, CONDITION, STATE_BYTES = 192, 320, 448


class ThreadPool:
    """The workers of this process; jobs run one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._code = _native_code()
        self._state = _new_state()
        self._address = self._state.ctypes.data
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
        self._submit = prototype(self._code.address("netdsl_submit"))

    def run(self, function: int, argument: int, threads: int) -> None:
        """Call the native `function(thread, threads, argument)` on `threads` threads and wait for all of them."""
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads must be 1 to {MAX_THREADS}, not {threads}")
        with self._lock:
            while len(self._workers) < threads - 1:
                self._start_worker()
            self._submit(self._address, function, argument, threads)

    def stop(self) -> None:
        """End the workers; not if a job is running and does not end soon, for the process is about to."""
        if not self._lock.acquire(timeout=1.0):
            return
        try:
            self._state.view(np.int64)[STOP // 8] = 1
            self._submit(self._address, 0, None, 1)
            for worker in self._workers:
                worker.join(timeout=1.0)
            self._workers.clear()
        finally:
            self._lock.release()

    def _start_worker(self) -> None:
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        loop = prototype(self._code.address("netdsl_worker"))
        generation = int(self._state.view(np.int64)[GENERATION // 8])
        index = len(self._workers) + 1
        worker = threading.Thread(
            target=loop, args=(self._address, index, generation), name=f"netdsl-{index}", daemon=True
        )
        worker.start()
        self._workers.append(worker)


def enter(function: int, argument: int, threads: int) -> None:
    """Call the native `function(thread, threads, argument)` on `threads` threads, this one among them."""
    if threads == 1:
        _JOB(function)(0, 1, argument)
    else:
        process_pool().run(function, argument, threads)


_pool: ThreadPool | None = None
_pool_lock = threading.Lock()


def process_pool() -> ThreadPool:
    """The one pool of this process."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPool()
        return _pool


def _forget_pool() -> None:
    """After a fork the child has no workers, and its locks may be held by threads that do not exist there."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


def _stop_pool() -> None:
    if _pool is not None:
        _pool.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
atexit.register(_stop_pool)

_loaded: Loaded | None = None


def _native_code() -> Loaded:
    """The compiled pool, kept for good: parked threads are inside it."""
    global _loaded
    if _loaded is None:
        target = Target.host()

        def text() -> str:
            from netdsl_llvm.pool_code import pool_text

            return pool_text(target)

        _loaded = load(kept_object("pool", target, text), ["netdsl_submit", "netdsl_worker"])
    return _loaded


def _new_state() -> npt.NDArray[np.uint8]:
    from netdsl_llvm.memory import aligned_zeros

    state = aligned_zeros(STATE_BYTES // 4).view(np.uint8)
    library = ctypes.CDLL(None)
    for name, offset in (("pthread_mutex_init", MUTEX), ("pthread_cond_init", CONDITION)):
        if getattr(library, name)(ctypes.c_void_p(state.ctypes.data + offset), None):
            raise OSError(f"{name} failed")
    return state


__all__ = ["MAX_THREADS", "ThreadPool", "enter", "process_pool"]
