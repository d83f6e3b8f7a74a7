"""The compiled part of `pool.py`: handing over a job, and the loop that workers wait in."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from netdsl_llvm.emit import I32, I64, POINTER, VOID, ModuleBuilder, Value
from netdsl_llvm.pool import ARGUMENT, CONDITION, FINISHED, GENERATION, JOB, MUTEX, STOP, THREADS
from netdsl_llvm.sync import SPINS, byte_offset, emit_pause, store_atomic, wait, wake
from netdsl_llvm.target import Target


def pool_text(target: Target) -> str:
    """The LLVM IR of `netdsl_submit` and `netdsl_worker`."""
    module = ModuleBuilder(target, "netdsl-pool")
    _emit_submit(module)
    _emit_worker(module)
    return str(module.ir)


def _call(module: ModuleBuilder, b: Any, name: str, *arguments: Value) -> None:
    b.call(module.function(name, I32, [POINTER] * len(arguments)), arguments)


def _emit_submit(module: ModuleBuilder) -> None:
    """submit(state, job, argument, threads): publish, wake, do thread 0's part, wait for the others."""
    function = module.function("netdsl_submit", VOID, [POINTER, I64, POINTER, I64])
    state, job, argument, threads = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    for value, offset in ((job, JOB), (argument, ARGUMENT), (threads, THREADS)):
        b.store(value, byte_offset(b, state, offset))
    finished = byte_offset(b, state, FINISHED)
    store_atomic(b, I64(0), finished, "monotonic")
    mutex = byte_offset(b, state, MUTEX)
    _call(module, b, "pthread_mutex_lock", mutex)
    b.atomic_rmw("add", byte_offset(b, state, GENERATION), I64(1), "release")
    _call(module, b, "pthread_cond_broadcast", byte_offset(b, state, CONDITION))
    _call(module, b, "pthread_mutex_unlock", mutex)
    with b.if_then(b.icmp_unsigned("!=", job, I64(0))):
        _emit_job(b, job, I64(0), threads, argument)
        others = b.sub(threads, I64(1))
        wait(module, function, b, finished, lambda value: b.icmp_signed("==", value, others))
    b.ret_void()


def _emit_job(b: Any, job: Value, thread: Value, threads: Value, argument: Value) -> None:
    kind = ir.FunctionType(VOID, [I64, I64, POINTER])
    b.call(b.inttoptr(job, kind.as_pointer()), [thread, threads, argument])


def _emit_worker(module: ModuleBuilder) -> None:
    """worker(state, index, seen): wait for a generation after `seen`, do the part `index` of its job, repeat."""
    function = module.function("netdsl_worker", VOID, [POINTER, I64, I64])
    state, index, first_seen = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    entry, idle = b.block, function.append_basic_block("wait")
    b.branch(idle)
    b.position_at_end(idle)
    seen = b.phi(I64)
    seen.add_incoming(first_seen, entry)
    generation = _emit_wait(module, function, b, state, seen)
    stop = b.load(byte_offset(b, state, STOP), typ=I64)
    leave, work = function.append_basic_block("leave"), function.append_basic_block("work")
    b.cbranch(b.icmp_signed("!=", stop, I64(0)), leave, work)
    b.position_at_end(work)
    threads = b.load(byte_offset(b, state, THREADS), typ=I64)
    with b.if_then(b.icmp_signed("<", index, threads)):
        job = b.load(byte_offset(b, state, JOB), typ=I64)
        argument = b.load(byte_offset(b, state, ARGUMENT), typ=POINTER)
        _emit_job(b, job, index, threads, argument)
        finished = byte_offset(b, state, FINISHED)
        b.atomic_rmw("add", finished, I64(1), "seq_cst")
        wake(module, b, finished)
    seen.add_incoming(generation, b.block)
    b.branch(idle)
    b.position_at_end(leave)
    b.ret_void()


def _emit_wait(module: ModuleBuilder, function: Any, b: Any, state: Value, seen: Value) -> Value:
    """The first generation other than `seen`: spin for it, then sleep until it is signalled."""
    generation_at = byte_offset(b, state, GENERATION)
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
    mutex, condition = byte_offset(b, state, MUTEX), byte_offset(b, state, CONDITION)
    check, rest = function.append_basic_block("check"), function.append_basic_block("rest")
    awake = function.append_basic_block("awake")
    _call(module, b, "pthread_mutex_lock", mutex)
    b.branch(check)
    b.position_at_end(check)
    generation = b.load_atomic(byte_offset(b, state, GENERATION), "acquire", 8, typ=I64)
    b.cbranch(b.icmp_signed("!=", generation, seen), awake, rest)
    b.position_at_end(rest)
    _call(module, b, "pthread_cond_wait", condition, mutex)
    b.branch(check)
    b.position_at_end(awake)
    _call(module, b, "pthread_mutex_unlock", mutex)
