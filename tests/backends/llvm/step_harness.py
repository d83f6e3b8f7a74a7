"""Compiles and runs one step by itself, its operands handed in as arrays in the layouts it asks for."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdsl.ir.scalar import Expr
from netdsl.ir.types import TensorType
from netdsl.plan.layout import Blocked, Layout
from netdsl.plan.plan import Plan, Region, Step, View
from netdsl_llvm.codegen import ARENA_SLOT, ENTRY, FIRST_ARRAY_SLOT, RunBuilder
from netdsl_llvm.compile import load, object_code
from netdsl_llvm.memory import aligned_zeros
from netdsl_llvm.target import Target

Array = np.ndarray[Any, Any]
Emit = Callable[[RunBuilder, Step], None]


@dataclass
class Operand:
    """A value in memory: its logical array (for the result, garbage of that shape), type and layout."""

    array: Array
    type: TensorType
    layout: Layout

    def packed(self) -> Array:
        flat = self.layout.pack(self.array)
        memory = aligned_zeros(flat.size)
        memory[:] = flat
        return memory

    @property
    def origin(self) -> int:
        return self.layout.origin if isinstance(self.layout, Blocked) else 0


@dataclass
class Compiled:
    """A step's machine code bound to its memory."""

    entry: Any
    memory: list[Array]
    operands: list[Operand]
    arguments: Array
    keep: Any
    inputs: int

    def run(self, threads: int = 1) -> None:
        """All threads' shares, one after the other: a single step has no barrier."""
        for thread in range(threads):
            self.entry(thread, threads, self.arguments.ctypes.data)

    def result(self) -> Array:
        operand, flat = self.operands[self.inputs], self.memory[self.inputs]
        assert_padding_is_zero(operand, flat)
        return np.asarray(operand.layout.unpack(flat))


def compile_step(
    target: Target,
    emit: Emit,
    op: str,
    attrs: dict[str, Any],
    inputs: Sequence[Operand],
    output: Operand,
    epilogue: Expr | None = None,
    epilogue_inputs: int = 0,
    scratch: int = 0,
    threads: int = 2,
) -> Compiled:
    """The step with its operands in memory, and ``scratch`` elements of working memory, ready to run."""
    plan = Plan("harness", target.name, batch=1, threads=threads)
    plan.inputs = [(str(i), operand.type) for i, operand in enumerate(inputs)]
    views = [View(Region.INPUT, i, operand.layout) for i, operand in enumerate(inputs)]
    result = View(Region.OUTPUT, 0, output.layout)
    types = tuple(operand.type for operand in inputs)
    work = View(Region.ARENA, 0, None) if scratch else None
    step = Step(op, op, attrs, tuple(views), (result,), types, (output.type,), epilogue, epilogue_inputs, work)
    run = RunBuilder(plan, target)
    emit(run, step)
    loaded = load(object_code(run.finish(), target), [ENTRY])
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    operands = [*inputs, output]
    memory = [operand.packed() for operand in operands] + [aligned_zeros(scratch)]
    arguments = np.zeros(FIRST_ARRAY_SLOT + len(operands), np.int64)
    for i, (operand, flat) in enumerate(zip(operands, memory, strict=False)):
        arguments[FIRST_ARRAY_SLOT + i] = flat.ctypes.data + 4 * operand.origin
    arguments[ARENA_SLOT] = memory[-1].ctypes.data
    return Compiled(prototype(loaded.address(ENTRY)), memory, operands, arguments, loaded, len(inputs))


def assert_padding_is_zero(operand: Operand, flat: Array) -> None:
    """Elements that hold nothing are zero bits."""
    logical = operand.layout.unpack(flat)
    again = operand.layout.pack(logical)
    np.testing.assert_array_equal(again.view(np.int32) != 0, flat.view(np.int32) != 0)
