"""Waiting on memory from compiled code: spin briefly, then let others run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from netdsl_llvm.emit import I32, I64, POINTER, VOID, ModuleBuilder, Value
from netdsl_llvm.entry import CACHE_LINE

SPINS = 2000


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
                store_atomic(b, b.add(passed, I64(1)), passed_at, "release")
            with others, spinning(module, function, b) as spin:
                spin.until(b.icmp_signed("!=", b.load_atomic(passed_at, "acquire", 8, typ=I64), passed))
    b.ret_void()
    return function


class Spin:
    """The condition a spinning loop waits for."""

    condition: Value = None

    def until(self, condition: Value) -> None:
        self.condition = condition


@contextmanager
def spinning(module: ModuleBuilder, function: Any, b: Any) -> Iterator[Spin]:
    """Repeat the body until its condition holds; after SPINS rounds with a pause each, yield the processor instead."""
    before, head = b.block, function.append_basic_block("spin")
    b.branch(head)
    b.position_at_end(head)
    rounds = b.phi(I64)
    rounds.add_incoming(I64(0), before)
    spin = Spin()
    yield spin
    again, done = function.append_basic_block("again"), function.append_basic_block("met")
    b.cbranch(spin.condition, done, again)
    b.position_at_end(again)
    with b.if_else(b.icmp_signed("<", rounds, I64(SPINS))) as (soon, late):
        with soon:
            emit_pause(module, b)
        with late:
            b.call(module.function("sched_yield", I32, []), [])
    rounds.add_incoming(b.add(rounds, I64(1)), b.block)
    b.branch(head)
    b.position_at_end(done)


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
