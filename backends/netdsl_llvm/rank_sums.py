"""What a program shares with those of other ranks: which values, in which groups, and the function its code calls."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.diagnostics import Code, UserError
from netdsl.plan.executor import Exchange, Shared
from netdsl.plan.layout import Blocked, Layout
from netdsl.plan.plan import Plan, Region, Step
from netdsl_llvm.packing import pack

Array = npt.NDArray[Any]
BEGIN, END = 0, 1
GROUP_ELEMENTS = 1 << 20
"""A group is closed when it has as many numbers (4 MiB): large enough that a transfer's start costs little beside it,
small enough that the first one is on its way while most of the backward pass is still to come."""
_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)


def shares(plan: Plan) -> bool:
    """Whether code of the plan calls the function."""
    return any(step.op in ("rank_sum_begin", "rank_sum_end") for step in plan.steps)


def groups_of(plan: Plan) -> list[list[Step]]:
    """The values that are added up together. A group ends with what is waited for before more begins."""
    groups: list[list[Step]] = []
    elements = 0
    for step in plan.steps:
        if step.op == "rank_sum_begin":
            if not elements:
                groups.append([])
            groups[-1].append(step)
            elements += step.input_types[0].elements
        waits = step.op == "rank_sum_end" and any(step.attrs == begun.attrs for group in groups[-1:] for begun in group)
        if elements >= GROUP_ELEMENTS or waits:
            elements = 0
    return groups


class RankSums:
    """Stands between a program and who adds up; `address` is of the function that code calls.

    Without anyone to add up, nothing is to be done. An error there is kept until the code has run: `check` raises it.
    """

    def __init__(self, plan: Plan, arena: Array, weights: Array) -> None:
        self._memory = {Region.ARENA: arena, Region.WEIGHTS: weights}
        self._groups = groups_of(plan)
        self._group_of = {step.attrs["number"]: index for index, group in enumerate(self._groups) for step in group}
        self._last_of = {group[-1].attrs["number"] for group in self._groups}
        self._exchange: Exchange | None = None
        self._error: BaseException | None = None
        self._function = _PROTOTYPE(self._call)  # lives as long as the code that calls it
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def connect(self, exchange: Exchange) -> None:
        """Hand over to ``exchange`` from now on. Raises UserError where other ranks would hand over other values."""
        if not exchange.agrees(repr([[step.name for step in group] for group in self._groups])):
            raise UserError.of(
                Code.TRAIN_SETTING,
                "the processes have planned their steps differently",
                help="all need the same options, and parts of the batch of one size",
            )
        orders = repr([[(step.outputs[0].layout, step.input_types) for step in group] for group in self._groups])
        alike = exchange.agrees(orders)
        exchange.connect([[self._shared(step, alike) for step in group] for group in self._groups])
        self._exchange = exchange

    def check(self) -> None:
        """Raise what went wrong in the latest run."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _call(self, which: int, number: int) -> None:
        """What the code calls. No exception gets through machine code."""
        if self._exchange is None or self._error is not None:
            return
        try:
            if which == END:
                self._exchange.end(self._group_of[number])
            elif number in self._last_of:
                self._exchange.begin(self._group_of[number])
        except BaseException as error:
            self._error = error

    def _shared(self, step: Step, alike: bool) -> Shared:
        """A value as it lies in memory where all ranks have the same order, else in that of its logical shape."""
        layout = step.outputs[0].layout
        assert layout is not None
        memory = self._memory_of(step, layout)
        if alike:
            return Shared(step.name, memory.size, partial(_copy, memory), partial(np.copyto, memory))
        kind = step.input_types[0]
        return Shared(
            step.name, kind.elements, partial(_unpack, layout, memory), partial(_pack, layout, memory, kind.shape)
        )

    def _memory_of(self, step: Step, layout: Layout) -> Array:
        view = step.outputs[0]
        start = view.offset - (layout.origin if isinstance(layout, Blocked) else 0)
        return self._memory[view.region][start : start + layout.size]


def _copy(memory: Array, into: Array) -> None:
    np.copyto(into, memory)


def _unpack(layout: Layout, memory: Array, into: Array) -> None:
    np.copyto(into, layout.unpack(memory).reshape(-1))


def _pack(layout: Layout, memory: Array, shape: Sequence[int], values: Array) -> None:
    pack(layout, values.reshape(shape), None, memory, 1)  # the pool's threads are in the program that waits for this
