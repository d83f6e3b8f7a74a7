"""A compiled plan in this process: memory, weights, and one cheap call a run."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.ir.types import DType, TensorType
from netdsl.plan.executor import Exchange
from netdsl.plan.plan import Plan, ResidentWeight
from netdsl.record import record
from netdsl_llvm.compile import load
from netdsl_llvm.entry import (
    ALONE,
    ARENA_SLOT,
    BARRIER_BYTES,
    BARRIER_SLOT,
    ENTRY,
    EXCHANGE,
    FIRST_ARRAY_SLOT,
    WEIGHTS_SLOT,
)
from netdsl_llvm.memory import aligned_zeros
from netdsl_llvm.packing import pack
from netdsl_llvm.pool import process_pool
from netdsl_llvm.rank_sums import RankSums, shares

Array = npt.NDArray[Any]
STAGED_ELEMENTS = 1 << 12
_NUMPY = {DType.F32: np.dtype(np.float32), DType.I32: np.dtype(np.int32)}


@record
class _Port:
    """An input or output; `staging` is memory of our own for a small one: copying it is cheaper than finding it."""

    slot: int
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    staging: Array | None

    def refusal(self, array: Array) -> ValueError:
        """Of an array that does not fit."""
        wanted = f"{self.dtype} {list(self.shape)}"
        return ValueError(f"input {self.name!r} must be {wanted}, not {array.dtype} {list(array.shape)}")


class Program:
    """Machine code of a plan with its arena and weights. Calls from several Python threads take turns."""

    def __init__(self, plan: Plan, code: bytes) -> None:
        self.plan = plan
        self._arena = aligned_zeros(plan.arena_size)
        self._weights = aligned_zeros(plan.weights_size)
        self._places: dict[str, list[ResidentWeight]] = {}
        for weight in plan.weights:
            self._places.setdefault(weight.name, []).append(weight)
        self._sums = RankSums(plan, self._arena, self._weights) if shares(plan) else None
        symbols = {EXCHANGE: self._sums.address} if self._sums is not None else {}
        self._loaded = load(code, [ENTRY, ALONE], symbols)
        self._barrier = aligned_zeros(BARRIER_BYTES // 4)
        self._lock = threading.Lock()
        self._arguments = np.zeros(FIRST_ARRAY_SLOT + len(plan.inputs) + len(plan.outputs), np.int64)
        self._arguments[ARENA_SLOT] = self._arena.ctypes.data
        self._arguments[WEIGHTS_SLOT] = self._weights.ctypes.data
        self._arguments[BARRIER_SLOT] = self._barrier.ctypes.data
        self._enter = self._way_in(self._arguments.ctypes.data)
        ports = [self._port(slot, *item) for slot, item in enumerate((*plan.inputs, *plan.outputs), FIRST_ARRAY_SLOT)]
        self._inputs, outputs = ports[: len(plan.inputs)], ports[len(plan.inputs) :]
        self._large_outputs = [port for port in outputs if port.staging is None]
        self._small_outputs = [(port.name, port.staging) for port in outputs if port.staging is not None]
        self._through = self._short_way() or self._any_way

    def set_weight(self, name: str, value: Array, factors: Array | None = None) -> None:
        """Pack a weight (in its logical shape) into every place it has, times `factors` along its first axis (float64).

        KeyError if the plan has none of this name.
        """
        for weight in self._places[name]:
            into = self._weights[weight.offset : weight.offset + weight.layout.size]
            pack(weight.layout, value.reshape(weight.type.shape), factors, into, self.plan.threads)

    def connect(self, exchange: Exchange) -> None:
        """Let ``exchange`` add up what the code hands over. Raises ValueError where it hands nothing over."""
        if self._sums is None:
            raise ValueError(f"{self.plan.name} shares nothing with other ranks")
        self._sums.connect(exchange)

    def weight(self, name: str) -> Array:
        """A copy of a weight in its logical shape."""
        found = self._places[name][0]
        flat = self._weights[found.offset : found.offset + found.layout.size].view(_NUMPY[found.type.dtype])
        unpacked = found.layout.unpack(flat).reshape(found.type.shape)
        return unpacked.copy() if np.may_share_memory(unpacked, flat) else unpacked  # (plain layouts are views)

    def run(self, inputs: Mapping[str, Array] | Sequence[Array]) -> dict[str, Array]:
        """Outputs by name, in arrays of their own. Inputs have exactly the plan's shapes and types."""
        return self._through(inputs if type(inputs) is dict else self._by_name(inputs))

    def _short_way(self) -> Callable[[Mapping[str, Array]], dict[str, Array]] | None:
        """`_any_way` of a network with one small input and one small result, which may take a few microseconds in all:
        what needs not be looked up in every call is not."""
        if not len(self._inputs) == len(self._small_outputs) == 1 or self._large_outputs or self._sums is not None:
            return None
        port, (result, computed) = self._inputs[0], self._small_outputs[0]
        name, shape, dtype, staging = port.name, port.shape, port.dtype, port.staging
        if staging is None:
            return None
        acquire, release, enter, copy = self._lock.acquire, self._lock.release, self._enter, computed.copy

        def run(given: Mapping[str, Array]) -> dict[str, Array]:
            array = given[name]
            if array.shape != shape or (array.dtype is not dtype and array.dtype != dtype):
                raise port.refusal(array)
            acquire()  # a `with` takes longer than a small layer
            try:
                staging[...] = array
                enter()
                return {result: copy()}
            finally:
                release()

        return run

    def _any_way(self, given: Mapping[str, Array]) -> dict[str, Array]:
        with self._lock:
            return self._run(given)

    def _run(self, given: Mapping[str, Array]) -> dict[str, Array]:
        results: dict[str, Array] = {}
        kept: list[Array] = []
        for port in self._inputs:
            array = given[port.name]
            if array.shape != port.shape or (array.dtype is not port.dtype and array.dtype != port.dtype):
                raise port.refusal(array)
            if port.staging is None:
                kept.append(self._find(port, array))
            else:
                port.staging[...] = array
        for port in self._large_outputs:
            results[port.name] = self._find(port, np.empty(port.shape, port.dtype))
        self._enter()
        if self._sums is not None:
            self._sums.check()
        for name, staging in self._small_outputs:
            results[name] = staging.copy()
        return results

    def _by_name(self, inputs: Mapping[str, Array] | Sequence[Array]) -> Mapping[str, Array]:
        if isinstance(inputs, Mapping):
            return inputs
        return {port.name: array for port, array in zip(self._inputs, inputs, strict=True)}

    def _port(self, slot: int, name: str, kind: TensorType) -> _Port:
        dtype, shape = _NUMPY[kind.dtype], kind.full_shape(self.plan.batch)
        count = math.prod(shape)
        staging = aligned_zeros(count).view(dtype).reshape(shape) if count <= STAGED_ELEMENTS else None
        if staging is not None:
            self._arguments[slot] = staging.ctypes.data
        return _Port(slot, name, dtype, shape, staging)

    def _find(self, port: _Port, array: Array) -> Array:
        """Tell the code where an array is; what this returns must live until the code has run."""
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        self._arguments[port.slot] = _address(array)
        return array

    def _way_in(self, arguments: int) -> Callable[[], None]:
        """What runs the code on the plan's threads."""
        threads = self.plan.threads
        if threads == 1:
            return partial(ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._loaded.address(ALONE)), arguments)
        entry = self._loaded.address(ENTRY)
        # after a fork the process has another pool
        return lambda: process_pool().run(entry, arguments, threads)


def _address(array: Array) -> int:
    """Where an array without gaps begins; asking NumPy takes a microsecond."""
    if not array.flags.writeable:
        return int(array.ctypes.data)
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
