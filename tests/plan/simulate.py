"""Runs a plan with NumPy in one poisoned arena: wrong aliasing, life times or halos show as wrong numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netdsl.ir.types import TensorType
from netdsl.ops.base import Call, get
from netdsl.ops.pointwise import evaluate_aligned
from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Plan, Region, Step, View

Array = np.ndarray[Any, Any]


class Memory:
    """The arena (NaN until written) and the resident weights."""

    def __init__(self, plan: Plan, weights: dict[str, Array]) -> None:
        self.plan = plan
        self.arena = np.full(plan.arena_size, np.nan, np.float32)
        self.weights = np.full(plan.weights_size, np.nan, np.float32)
        for weight in plan.weights:
            flat = weight.layout.pack(weights[weight.name])
            self.weights[weight.offset : weight.offset + len(flat)] = flat.view(np.float32)

    def _flat(self, view: View) -> Array:
        return self.arena if view.region is Region.ARENA else self.weights

    def _grid(self, layout: Blocked, offset: int, *, border: bool) -> Array:
        top, bottom, left, right = layout.halo if border else (0, 0, 0, 0)
        axes = (
            np.arange(layout.batch) * layout.n_stride,
            np.arange(layout.blocks) * layout.cb_stride,
            np.arange(-top, layout.height + bottom) * layout.row_stride,
            np.arange(-left, layout.width + right) * layout.block,
            np.arange(layout.block),
        )
        grid = np.ix_(*axes)
        return np.asarray(offset + grid[0] + grid[1] + grid[2] + grid[3] + grid[4])

    def read(self, view: View, type: TensorType) -> Array:
        flat, layout = self._flat(view), view.layout
        if not isinstance(layout, Blocked):
            assert layout is not None
            return np.asarray(layout.unpack(flat[view.offset : view.offset + layout.size]))
        whole = flat[self._grid(layout, view.offset, border=True)]
        planes = whole.transpose(0, 1, 4, 2, 3).reshape(layout.batch, -1, *whole.shape[2:4])
        inner = _inner(planes, layout)
        assert not planes[:, layout.channels :].view(np.int32).any(), "pad channels are not zero"
        border = planes.copy()
        _inner(border, layout)[...] = 0
        assert not border.view(np.int32).any(), "the halo is not zero"
        values = inner[:, : layout.channels].reshape(type.full_shape(layout.batch))
        return values.view(np.int32) if view.dtype.value == "i32" else values

    def write(self, view: View, array: Array) -> None:
        flat, layout = self._flat(view), view.layout
        if not isinstance(layout, Blocked):
            assert layout is not None
            flat[view.offset : view.offset + layout.size] = layout.pack(array)
            return
        shape = (layout.channels, layout.height, layout.width)
        own = Blocked.of(TensorType(shape), layout.batch, layout.block, layout.halo)
        packed = own.pack(array).view(np.float32)
        rows = own.cb_stride // own.row_stride
        whole = packed.reshape(layout.batch, layout.blocks, rows, -1, layout.block)
        flat[self._grid(layout, view.offset, border=True)] = whole


def _inner(planes: Array, layout: Blocked) -> Array:
    top, _, left, _ = layout.halo
    return planes[:, :, top : top + layout.height, left : left + layout.width]


def simulate(plan: Plan, weights: dict[str, Array], inputs: dict[str, Array]) -> tuple[dict[str, Array], Memory]:
    """Outputs of one run, float32 at every step boundary, and the memory afterwards."""
    memory = Memory(plan, weights)
    outputs: dict[str, Array] = {}
    for times, steps in plan.loops():
        for part in range(times):
            for step in steps:
                _run(plan, _of_part(step, part), part, memory, inputs, outputs)
    return outputs, memory


def _of_part(step: Step, part: int) -> Step:
    """The step with the places of one part of the batch."""

    def place(view: View) -> View:
        callers = view.region in (Region.INPUT, Region.OUTPUT)
        return view if callers else replace(view, offset=view.offset + part * view.stride)

    return replace(step, inputs=tuple(map(place, step.inputs)), outputs=tuple(map(place, step.outputs)))


def _run(
    plan: Plan, step: Step, part: int, memory: Memory, inputs: dict[str, Array], outputs: dict[str, Array]
) -> None:
    if step.op == "load_input":
        given = inputs[plan.inputs[step.inputs[0].offset][0]]
        memory.write(step.outputs[0], _samples(given, step, part) if step.times > 1 else given)
        return
    arrays = [memory.read(view, type) for view, type in zip(step.inputs, step.input_types, strict=True)]
    if step.op == "store_output":
        name, type = plan.outputs[step.outputs[0].offset]
        whole = outputs.setdefault(name, np.zeros(type.full_shape(plan.batch), arrays[0].dtype))
        (_samples(whole, step, part) if step.times > 1 else whole)[...] = arrays[0].reshape(-1, *whole.shape[1:])
        return
    if step.op == "relayout":
        results = arrays
    else:
        results = _compute(step, arrays)
    for view, result in zip(step.outputs, results, strict=True):
        memory.write(view, result)


def _samples(whole: Array, step: Step, part: int) -> Array:
    """A part's own samples of an array of the caller's."""
    count = len(whole) // step.times
    (view,) = step.inputs if step.op == "load_input" else step.outputs
    assert isinstance(view.layout, Blocked)
    assert (view.layout.batch, view.stride) == (count, count * view.layout.n_stride)
    return whole[part * count : (part + 1) * count]


def _compute(step: Step, arrays: list[Array]) -> list[Array]:
    main = len(arrays) - step.epilogue_inputs
    call = Call(step.attrs, step.input_types[:main], step.output_types)
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    results = get(step.op).reference(call, wide[:main])
    if step.epilogue is not None:
        types = [step.output_types[0], *step.input_types[main:]]
        operands = [results[0], *wide[main:]]
        results = [evaluate_aligned(step.epilogue, operands, types, step.output_types[0]), *results[1:]]
    return results
