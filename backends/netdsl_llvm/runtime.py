"""A compiled plan in this process: memory, weights, and one cheap call a run."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.ir.types import DType, TensorType
from netdsl.plan.plan import Plan
from netdsl_llvm.codegen import ARENA_SLOT, BARRIER_SLOT, ENTRY, FIRST_ARRAY_SLOT, WEIGHTS_SLOT
from netdsl_llvm.compile import load
from netdsl_llvm.memory import aligned_zeros
from netdsl_llvm.pool import process_pool
from netdsl_llvm.sync import BARRIER_BYTES

Array = npt.NDArray[Any]
STAGED_ELEMENTS = 1 << 12
_NUMPY = {DType.F32: np.dtype(np.float32), DType.I32: np.dtype(np.int32)}


@dataclass(frozen=True)
class _Port:
    """An input or output; `staging` is memory of our own for a small one: copying it is cheaper than finding it."""

    slot: int
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    staging: Array | None


class Program:
    """Machine code of a plan with its arena and weights. Calls from several Python threads take turns."""

    def __init__(self, plan: Plan, code: bytes) -> None:
        self.plan = plan
        self._loaded = load(code, [ENTRY])
        self._address = self._loaded.address(ENTRY)
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self._entry = prototype(self._address)
        self._arena = aligned_zeros(plan.arena_size)
        self._weights = aligned_zeros(plan.weights_size)
        self._barrier = aligned_zeros(BARRIER_BYTES // 4)
        self._lock = threading.Lock()
        self._arguments = np.zeros(FIRST_ARRAY_SLOT + len(plan.inputs) + len(plan.outputs), np.int64)
        self._arguments[ARENA_SLOT] = self._arena.ctypes.data
        self._arguments[WEIGHTS_SLOT] = self._weights.ctypes.data
        self._arguments[BARRIER_SLOT] = self._barrier.ctypes.data
        self._argument_address = self._arguments.ctypes.data
        ports = [self._port(slot, *item) for slot, item in enumerate((*plan.inputs, *plan.outputs), FIRST_ARRAY_SLOT)]
        self._inputs, self._outputs = ports[: len(plan.inputs)], ports[len(plan.inputs) :]

    def set_weight(self, name: str, value: Array) -> None:
        """Pack a weight (in its logical shape) into every place it has. KeyError if the plan has none of this name."""
        found = [weight for weight in self.plan.weights if weight.name == name]
        if not found:
            raise KeyError(name)
        for weight in found:
            packed = weight.layout.pack(np.asarray(value).reshape(weight.type.shape))
            self._weights[weight.offset : weight.offset + packed.size] = packed.view(np.float32)

    def set_weights(self, values: Mapping[str, Array]) -> None:
        """Every weight of the plan from `values`; names the plan lacks are passed over."""
        for name in dict.fromkeys(weight.name for weight in self.plan.weights):
            self.set_weight(name, values[name])

    def weight(self, name: str) -> Array:
        """A copy of a weight in its logical shape."""
        found = next((weight for weight in self.plan.weights if weight.name == name), None)
        if found is None:
            raise KeyError(name)
        flat = self._weights[found.offset : found.offset + found.layout.size].view(_NUMPY[found.type.dtype])
        return found.layout.unpack(flat).reshape(found.type.shape)

    def run(self, inputs: Mapping[str, Array] | Sequence[Array]) -> dict[str, Array]:
        """Outputs by name, in arrays of their own. Inputs have exactly the plan's shapes and types."""
        given = inputs if isinstance(inputs, Mapping) else self._named(inputs)
        with self._lock:
            kept = [self._give(port, given[port.name]) for port in self._inputs]
            results = {port.name: self._receive(port) for port in self._outputs}
            self._enter()
            for port in self._outputs:
                if port.staging is not None:
                    results[port.name] = port.staging.copy()
        del kept
        return results

    def _named(self, arrays: Sequence[Array]) -> Mapping[str, Array]:
        return {port.name: array for port, array in zip(self._inputs, arrays, strict=True)}

    def _port(self, slot: int, name: str, kind: TensorType) -> _Port:
        dtype, shape = _NUMPY[kind.dtype], kind.full_shape(self.plan.batch)
        count = math.prod(shape)
        staging = aligned_zeros(count).view(dtype).reshape(shape) if count <= STAGED_ELEMENTS else None
        if staging is not None:
            self._arguments[slot] = staging.ctypes.data
        return _Port(slot, name, dtype, shape, staging)

    def _give(self, port: _Port, array: Array) -> Array | None:
        """Let the code find an input; what it returns must live until the code has run."""
        if array.dtype != port.dtype or array.shape != port.shape:
            wanted = f"{port.dtype} {list(port.shape)}"
            raise ValueError(f"input {port.name!r} must be {wanted}, not {array.dtype} {list(array.shape)}")
        if port.staging is not None:
            port.staging[...] = array
            return None
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        self._arguments[port.slot] = array.ctypes.data
        return array

    def _receive(self, port: _Port) -> Array:
        """Where an output will be."""
        if port.staging is not None:
            return port.staging
        array: Array = np.empty(port.shape, port.dtype)
        self._arguments[port.slot] = array.ctypes.data
        return array

    def _enter(self) -> None:
        threads = self.plan.threads
        if threads == 1:
            self._entry(0, 1, self._argument_address)
        else:
            process_pool().run(self._address, self._argument_address, threads)
