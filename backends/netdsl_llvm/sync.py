"""Waiting on memory from compiled code: spin briefly, then sleep until the word changes.

A thread that waits while another program has the core of the one it waits for should not spin its own turn away, nor
offer it in small pieces: who sleeps is let in again at once when it is woken. So two threads beside two other busy
programs get half of the machine, and not a slice of time (milliseconds) a barrier.

A word to wait on has a cache line of its own: the word, 8 bytes, then the number of threads that sleep on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from netdsl_llvm.emit import I32, I64, POINTER, VOID, ModuleBuilder, Value
from netdsl_llvm.entry import CACHE_LINE

SPINS = 2000
_SLEEPERS = 8
_FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129
"""Among the threads of one process (`FUTEX_PRIVATE_FLAG`), see futex(2)."""


def emit_barrier(module: ModuleBuilder) -> Any:
    """`barrier(state, threads)`: returns when all threads have called it; what they wrote before is seen after.

    `state` is BARRIER_BYTES of zeros: threads arrived, and on a line of its own the barriers passed. A barrier
    can be used again at once, for nobody waits on the count of arrivals.
    """
    function = module.function("netdsl_barrier", VOID, [POINTER, I64])
    if function.blocks:
        return function
    function.linkage = "internal"
    function.attributes.add("noinline")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    state, threads = function.args
    with b.if_then(b.icmp_signed(">", threads, I64(1))):
        passed_at = byte_offset(b, state, CACHE_LINE)
        passed = b.load_atomic(passed_at, "acquire", 8, typ=I64)
        arrived = b.atomic_rmw("add", state, I64(1), "acq_rel")
        with b.if_else(b.icmp_signed("==", arrived, b.sub(threads, I64(1)))) as (last, others):
            with last:
                store_atomic(b, I64(0), state, "monotonic")
                store_atomic(b, b.add(passed, I64(1)), passed_at, "seq_cst")
                wake(module, b, passed_at)
            with others:
                wait(module, function, b, passed_at, lambda value: b.icmp_signed("!=", value, passed))
    b.ret_void()
    return function


def wait(module: ModuleBuilder, function: Any, b: Any, word: Value, met: Callable[[Value], Value]) -> None:
    """Until the word has a value for which `met` is true: SPINS rounds with a pause each, then asleep.

    Who changes the word does it by an atomic operation of order seq_cst, and calls `wake` behind it.
    """
    before, head = b.block, function.append_basic_block("spin")
    b.branch(head)
    b.position_at_end(head)
    rounds = b.phi(I64)
    rounds.add_incoming(I64(0), before)
    value = b.load_atomic(word, "acquire", 8, typ=I64)
    again, done = function.append_basic_block("again"), function.append_basic_block("met")
    b.cbranch(met(value), done, again)
    b.position_at_end(again)
    with b.if_else(b.icmp_signed("<", rounds, I64(SPINS))) as (soon, late):
        with soon:
            emit_pause(module, b)
        with late:
            _sleep(module, b, word, value)
    rounds.add_incoming(b.add(rounds, I64(1)), b.block)
    b.branch(head)
    b.position_at_end(done)


def wake(module: ModuleBuilder, b: Any, word: Value) -> None:
    """Whoever sleeps on the word."""
    if not _has_futex(module):
        return
    sleepers = b.load_atomic(byte_offset(b, word, _SLEEPERS), "seq_cst", 8, typ=I64)
    with b.if_then(b.icmp_signed("!=", sleepers, I64(0)), likely=False):
        _futex(module, b, word, _FUTEX_WAKE, I64((1 << 31) - 1))


def _sleep(module: ModuleBuilder, b: Any, word: Value, value: Value) -> None:
    """Unless the word is no longer `value`. A waker either sees the sleeper counted or has changed the word before.

    Where the system has no such call, let others run instead.
    """
    if not _has_futex(module):
        b.call(module.function("sched_yield", I32, []), [])
        return
    sleepers = byte_offset(b, word, _SLEEPERS)
    b.atomic_rmw("add", sleepers, I64(1), "seq_cst")
    _futex(module, b, word, _FUTEX_WAIT, value)
    b.atomic_rmw("sub", sleepers, I64(1), "seq_cst")


def _has_futex(module: ModuleBuilder) -> bool:
    return "linux" in module.target.object_triple()


def _futex(module: ModuleBuilder, b: Any, word: Value, operation: int, number: Value) -> None:
    """The system compares the low half of the word, which comes first in memory; no time limit."""
    architecture = module.target.object_triple().partition("-")[0]
    call = module.function("syscall", I64, [I64, POINTER, I64, I64, POINTER])
    b.call(call, [I64(_FUTEX_CALL[architecture]), word, I64(operation), number, POINTER(None)])


def emit_pause(module: ModuleBuilder, b: Any) -> None:
    """The instruction that tells the core it is spinning."""
    if module.target.name == "neon":
        b.call(module.function("llvm.aarch64.hint", VOID, [I32]), [I32(1)])
    else:
        b.call(module.function("llvm.x86.sse2.pause", VOID, []), [])


def byte_offset(b: Any, pointer: Value, count: int) -> Value:
    return b.gep(pointer, [I64(count)], inbounds=True, source_etype=ir.IntType(8))


def store_atomic(b: Any, value: Value, pointer: Value, ordering: str) -> None:
    """An atomic store; as an exchange, for llvmlite's own atomic store knows typed pointers only."""
    b.atomic_rmw("xchg", pointer, value, ordering)
