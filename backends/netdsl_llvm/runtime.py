"""A compiled plan in this process: memory, weights, and one cheap call a run."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
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
_NUMPY = {DType.F32: np.dtype(np.float32), DType.I32: np.dtype(np.int32)}


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
        self._inputs = [(name, _NUMPY[kind.dtype], kind.full_shape(plan.batch)) for name, kind in plan.inputs]
        self._outputs = [(name, _NUMPY[kind.dtype], kind.full_shape(plan.batch)) for name, kind in plan.outputs]
        self._arguments = np.zeros(FIRST_ARRAY_SLOT + len(plan.inputs) + len(plan.outputs), np.int64)
        self._arguments[ARENA_SLOT] = self._arena.ctypes.data
        self._arguments[WEIGHTS_SLOT] = self._weights.ctypes.data
        self._arguments[BARRIER_SLOT] = self._barrier.ctypes.data
        self._argument_address = self._arguments.ctypes.data

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
        given = [inputs[name] for name, _, _ in self._inputs] if isinstance(inputs, Mapping) else inputs
        arrays = [_checked(array, *expected) for array, expected in zip(given, self._inputs, strict=True)]
        results = {name: np.empty(shape, dtype) for name, dtype, shape in self._outputs}
        with self._lock:
            slot = FIRST_ARRAY_SLOT
            for array in (*arrays, *results.values()):
                self._arguments[slot] = array.__array_interface__["data"][0]
                slot += 1
            self._enter()
        return results

    def _enter(self) -> None:
        threads = self.plan.threads
        if threads == 1:
            self._entry(0, 1, self._argument_address)
        else:
            process_pool().run(self._address, self._argument_address, threads)


def _checked(array: Array, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"input {name!r} must be {dtype} {list(shape)}, not {array.dtype} {list(array.shape)}")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def array_type(kind: TensorType, batch: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """NumPy type and shape of a value of this type at a batch."""
    return _NUMPY[kind.dtype], kind.full_shape(batch)
