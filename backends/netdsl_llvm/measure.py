"""What this machine's cores can do at most, measured with code made for the purpose.

Peak arithmetic: chains of fused multiply-adds that never leave the registers, more of them than the additions' latency
times the units can hide. Bandwidth: vector loads of a block, each added to one of several sums, from a block many
times the last cache or half the second. Every rate is the best of several runs: what disturbs only ever slows down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netdsl.machine import Machine
from netdsl_llvm.caches import cache_bytes
from netdsl_llvm.compile import Loaded, cached_object, load
from netdsl_llvm.emit import I64, POINTER, Kernel, ModuleBuilder, Value
from netdsl_llvm.host import cpu_name
from netdsl_llvm.memory import aligned_zeros
from netdsl_llvm.pool import process_pool
from netdsl_llvm.target import Target

CHAINS = 12
"""Accumulators: with the factor they fit 16 registers; 2 units of latency 4 need 8."""
STEPS = 8
"""Multiply-adds of each chain in a round of the loop."""
LOADS = 16
"""Vectors read in a round of the loop, into half as many sums."""
RUNS, RUN_SECONDS = 5, 0.025
MIN_BLOCK, MAX_BLOCK = 256 << 20, 1 << 30
RESULTS = 8
"""Where results begin in the argument, in 8-byte words; one cache line (8 words) a thread."""


def measure_machine(target: Target, threads: int) -> Machine:
    """This machine with `threads` cores and the instructions of `target`; takes about 2 s."""
    caches = cache_bytes()
    probes = _Probes(target, load(cached_object(_module(target), target), ["peak", "fill", "read"]))
    peak = [probes.peak(count) for count in (1, threads)]
    block = _block_bytes(caches.get(3))
    memory = aligned_zeros(block // 4)
    probes.fill(memory, threads)
    bandwidth = [probes.bandwidth(memory, count) for count in (1, threads)]
    second = caches.get(2)
    near = probes.bandwidth(memory[: second // 8], 1) if second else None  # half of it, in floats
    name = cpu_name()
    return Machine(
        name=f"{name} ({target.cpu})" if name else target.cpu,
        cores=threads,
        peak_flops=round(max(peak)),
        peak_flops_per_core=round(peak[0]),
        bandwidth=round(max(bandwidth)),
        bandwidth_per_core=round(bandwidth[0]),
        l2_bandwidth_per_core=near and round(near),
        l1_bytes=caches.get(1),
        l2_bytes=second,
        l3_bytes=caches.get(3),
    )


def _block_bytes(last_cache: int | None) -> int:
    """Enough not to fit in the last cache, and no more than a quarter of the memory."""
    wanted = min(max(4 * (last_cache or 0), MIN_BLOCK), MAX_BLOCK)
    try:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return wanted
    return min(wanted, present // 4)


@dataclass(frozen=True)
class _Probes:
    """The loaded code, and how it is timed."""

    target: Target
    code: Loaded

    def peak(self, threads: int) -> float:
        """Float32 operations a second of `threads` cores together."""
        work = 2 * CHAINS * STEPS * self.target.lanes * threads
        return work * self._best("peak", threads, [0, 0, int(np.float32(0.5).view(np.int32))])

    def bandwidth(self, memory: npt.NDArray[np.float32], threads: int) -> float:
        """Bytes a second read by `threads` cores together, each from its own part."""
        each = self._each(memory, threads)
        return 4 * each * threads * self._best("read", threads, [each, memory.ctypes.data])

    def fill(self, memory: npt.NDArray[np.float32], threads: int) -> None:
        """Write everything, each core its own part: memory that was never written has no place of its own yet."""
        memory[-LOADS * self.target.lanes * threads :] = 1.0
        self._seconds("fill", threads, 1, [self._each(memory, threads), memory.ctypes.data])

    def _each(self, memory: npt.NDArray[np.float32], threads: int) -> int:
        step = LOADS * self.target.lanes
        return max(memory.size // (threads * step), 1) * step

    def _best(self, name: str, threads: int, arguments: Sequence[int]) -> float:
        """Rounds a second: the best of several runs, of enough rounds to be timed."""
        rounds = 1
        while (seconds := min(self._seconds(name, threads, rounds, arguments) for _ in range(RUNS))) < RUN_SECONDS:
            rounds *= 2 if seconds > RUN_SECONDS / 8 else 8
        return rounds / seconds

    def _seconds(self, name: str, threads: int, rounds: int, arguments: Sequence[int]) -> float:
        words = np.zeros(RESULTS + 8 * threads, np.int64)
        words[: 1 + len(arguments)] = [rounds, *arguments]
        start = time.perf_counter()
        process_pool().run(self.code.address(name), words.ctypes.data, threads)
        return time.perf_counter() - start


# -- the code ----------------------------------------------------------------------------------------


def _module(target: Target) -> str:
    """The probes `peak`, `fill` and `read`, jobs of the thread pool.

    Their arguments are 8-byte words: rounds, floats of each thread, address, the factor (a float); then a line a
    thread for its result, which keeps the arithmetic from being left out.
    """
    module = ModuleBuilder(target, "measure")
    for name, build in (("peak", _peak), ("fill", _fill), ("read", _read)):
        k = module.job(name)
        build(k)
        k.b.ret_void()
    return str(module.ir)


def _word(k: Kernel, index: int) -> Value:
    return k.b.load(k.at(k.arg("arguments"), 2 * index), typ=I64)


def _peak(k: Kernel) -> None:
    factor = k.load_broadcast(k.arg("arguments"), 2 * 3)
    chains = [k.b.fadd(factor, k.v(float(index))) for index in range(CHAINS)]  # different, or they would be merged
    with k.carried_loop(0, _word(k, 0), chains) as loop:
        values = list(loop.carried)
        for _ in range(STEPS):
            values = [k.fma(value, factor, factor) for value in values]
        loop.carry(values)
    _keep(k, loop.results)


def _fill(k: Kernel) -> None:
    each, start = _part(k)
    with k.loop(0, each, k.lanes) as offset:
        k.store(k.v(1.0), start, offset)


def _read(k: Kernel) -> None:
    each, start = _part(k)
    zeros = [k.v(0.0)] * (LOADS // 2)
    with k.carried_loop(0, _word(k, 0), zeros) as rounds:
        with k.carried_loop(0, each, rounds.carried, LOADS * k.lanes) as loop:
            sums = list(loop.carried)
            for index in range(LOADS):
                vector = k.load(start, k.add(loop.index, index * k.lanes))
                sums[index % len(sums)] = k.b.fadd(sums[index % len(sums)], vector)
            loop.carry(sums)
        rounds.carry(loop.results)
    _keep(k, rounds.results)


def _part(k: Kernel) -> tuple[Value, Value]:
    """Floats of each thread, and where this one's begin."""
    each = _word(k, 1)
    address = k.b.inttoptr(_word(k, 2), POINTER)
    return each, k.at(address, k.mul(k.arg("thread"), each))


def _keep(k: Kernel, values: Sequence[Value]) -> None:
    total = values[0]
    for value in values[1:]:
        total = k.b.fadd(total, value)
    line = k.add(k.mul(k.arg("thread"), 16), 2 * RESULTS)
    k.store(k.sum_lanes(total), k.arg("arguments"), line)
