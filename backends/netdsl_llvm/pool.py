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
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from netdsl_llvm.compile import Loaded, cached_object, load
from netdsl_llvm.emit import I32, I64, POINTER, VOID, ModuleBuilder, Value
from netdsl_llvm.sync import SPINS, byte_offset, emit_pause, spinning, store_atomic
from netdsl_llvm.target import Target

MAX_THREADS = 256

# byte offsets in a pool's state; what different sides write lies on different cache lines
_GENERATION, _FINISHED, _JOB, _ARGUMENT, _THREADS, _STOP = 0, 64, 128, 136, 144, 152
_MUTEX, _CONDITION, _STATE_BYTES = 192, 320, 448


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
            self._state.view(np.int64)[_STOP // 8] = 1
            self._submit(self._address, 0, None, 1)
            for worker in self._workers:
                worker.join(timeout=1.0)
            self._workers.clear()
        finally:
            self._lock.release()

    def _start_worker(self) -> None:
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        loop = prototype(self._code.address("netdsl_worker"))
        generation = int(self._state.view(np.int64)[_GENERATION // 8])
        index = len(self._workers) + 1
        worker = threading.Thread(
            target=loop, args=(self._address, index, generation), name=f"netdsl-{index}", daemon=True
        )
        worker.start()
        self._workers.append(worker)


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
        module = ModuleBuilder(target, "netdsl-pool")
        _emit_submit(module)
        _emit_worker(module)
        _loaded = load(cached_object(str(module.ir), target), ["netdsl_submit", "netdsl_worker"])
    return _loaded


def _new_state() -> npt.NDArray[np.uint8]:
    from netdsl_llvm.memory import aligned_zeros

    state = aligned_zeros(_STATE_BYTES // 4).view(np.uint8)
    library = ctypes.CDLL(None)
    for name, offset in (("pthread_mutex_init", _MUTEX), ("pthread_cond_init", _CONDITION)):
        if getattr(library, name)(ctypes.c_void_p(state.ctypes.data + offset), None):
            raise OSError(f"{name} failed")
    return state


def _call(module: ModuleBuilder, b: Any, name: str, *arguments: Value) -> None:
    b.call(module.function(name, I32, [POINTER] * len(arguments)), arguments)


def _emit_submit(module: ModuleBuilder) -> None:
    """submit(state, job, argument, threads): publish, wake, do thread 0's part, wait for the others."""
    function = module.function("netdsl_submit", VOID, [POINTER, I64, POINTER, I64])
    state, job, argument, threads = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    for value, offset in ((job, _JOB), (argument, _ARGUMENT), (threads, _THREADS)):
        b.store(value, byte_offset(b, state, offset))
    finished = byte_offset(b, state, _FINISHED)
    store_atomic(b, I64(0), finished, "monotonic")
    mutex = byte_offset(b, state, _MUTEX)
    _call(module, b, "pthread_mutex_lock", mutex)
    b.atomic_rmw("add", byte_offset(b, state, _GENERATION), I64(1), "release")
    _call(module, b, "pthread_cond_broadcast", byte_offset(b, state, _CONDITION))
    _call(module, b, "pthread_mutex_unlock", mutex)
    with b.if_then(b.icmp_unsigned("!=", job, I64(0))):
        _emit_job(b, job, I64(0), threads, argument)
        with spinning(module, function, b) as spin:
            done = b.load_atomic(finished, "acquire", 8, typ=I64)
            spin.until(b.icmp_signed("==", done, b.sub(threads, I64(1))))
    b.ret_void()


def _emit_job(b: Any, job: Value, thread: Value, threads: Value, argument: Value) -> None:
    kind = ir.FunctionType(VOID, [I64, I64, POINTER])
    b.call(b.inttoptr(job, kind.as_pointer()), [thread, threads, argument])


def _emit_worker(module: ModuleBuilder) -> None:
    """worker(state, index, seen): wait for a generation after `seen`, do the part `index` of its job, repeat."""
    function = module.function("netdsl_worker", VOID, [POINTER, I64, I64])
    state, index, first_seen = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    entry, wait = b.block, function.append_basic_block("wait")
    b.branch(wait)
    b.position_at_end(wait)
    seen = b.phi(I64)
    seen.add_incoming(first_seen, entry)
    generation = _emit_wait(module, function, b, state, seen)
    stop = b.load(byte_offset(b, state, _STOP), typ=I64)
    leave, work = function.append_basic_block("leave"), function.append_basic_block("work")
    b.cbranch(b.icmp_signed("!=", stop, I64(0)), leave, work)
    b.position_at_end(work)
    threads = b.load(byte_offset(b, state, _THREADS), typ=I64)
    with b.if_then(b.icmp_signed("<", index, threads)):
        job = b.load(byte_offset(b, state, _JOB), typ=I64)
        argument = b.load(byte_offset(b, state, _ARGUMENT), typ=POINTER)
        _emit_job(b, job, index, threads, argument)
        b.atomic_rmw("add", byte_offset(b, state, _FINISHED), I64(1), "acq_rel")
    seen.add_incoming(generation, b.block)
    b.branch(wait)
    b.position_at_end(leave)
    b.ret_void()


def _emit_wait(module: ModuleBuilder, function: Any, b: Any, state: Value, seen: Value) -> Value:
    """The first generation other than `seen`: spin for it, then sleep until it is signalled."""
    generation_at = byte_offset(b, state, _GENERATION)
    head, pause = function.append_basic_block("watch"), function.append_basic_block("pause")
    sleep, found = function.append_basic_block("sleep"), function.append_basic_block("found")
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    rounds = b.phi(I64)
    rounds.add_incoming(I64(0), before)
    changed = b.icmp_signed("!=", b.load_atomic(generation_at, "acquire", 8, typ=I64), seen)
    b.cbranch(changed, found, pause)
    b.position_at_end(pause)
    emit_pause(module, b)
    following = b.add(rounds, I64(1))
    rounds.add_incoming(following, pause)
    b.cbranch(b.icmp_signed("<", following, I64(SPINS)), head, sleep)
    b.position_at_end(sleep)
    _emit_sleep(module, function, b, state, seen)
    b.branch(found)
    b.position_at_end(found)
    return b.load_atomic(generation_at, "acquire", 8, typ=I64)


def _emit_sleep(module: ModuleBuilder, function: Any, b: Any, state: Value, seen: Value) -> None:
    mutex, condition = byte_offset(b, state, _MUTEX), byte_offset(b, state, _CONDITION)
    check, rest = function.append_basic_block("check"), function.append_basic_block("rest")
    awake = function.append_basic_block("awake")
    _call(module, b, "pthread_mutex_lock", mutex)
    b.branch(check)
    b.position_at_end(check)
    generation = b.load_atomic(byte_offset(b, state, _GENERATION), "acquire", 8, typ=I64)
    b.cbranch(b.icmp_signed("!=", generation, seen), awake, rest)
    b.position_at_end(rest)
    _call(module, b, "pthread_cond_wait", condition, mutex)
    b.branch(check)
    b.position_at_end(awake)
    _call(module, b, "pthread_mutex_unlock", mutex)


__all__ = ["MAX_THREADS", "ThreadPool", "process_pool"]
