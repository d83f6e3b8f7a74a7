"""A weight from one layout to another: between packed filters, and to and from the blocked layout."""

from __future__ import annotations

import math

from netdsl.ir.scalar import Var
from netdsl.plan.layout import Blocked, Layout
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.correlate import first_block
from netdsl_llvm.kernels.elementwise import emit_map
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.relayout import transpose
from netdsl_llvm.layouts import GroupedFilter, PackedFilter

Place = tuple[Index, Index, Index]
"""Along the weight's first axis, its second, and all others taken together."""


def emit(run: RunBuilder, step: Step) -> None:
    """Any layout to any other. Every element of the result is written; those that hold nothing become zero."""
    source, result = step.inputs[0].layout, step.outputs[0].layout
    assert source is not None
    assert result is not None
    if isinstance(source, Blocked) and isinstance(result, Blocked):
        emit_map(run, step, [Var(0)])
        return
    pointers = {"x": step.inputs[0], "y": step.outputs[0]}
    if isinstance(source, PackedFilter) and isinstance(result, PackedFilter) and _mirrored(source, result):
        integers = {f"{n}_{name}": getattr(f, name) for n, f in (("x", source), ("y", result)) for name in _EXTENTS}
        run.call("transpose_filter", _transpose, pointers, integers | {"taps": source.taps}, noalias=("y",))
        return
    shape = step.output_types[0].shape
    extents = (shape[0], shape[1] if len(shape) > 1 else 1, math.prod(shape[2:]))
    run.call("zero_weight", _zero, {"y": step.outputs[0]}, {"size": result.size})
    run.barrier()
    key = f"repack_{digest((source, result, extents))}"
    run.call(key, lambda k: _copy(k, source, result, extents), pointers, noalias=("y",))


def _mirrored(source: PackedFilter, result: PackedFilter) -> bool:
    """Dense filters of whole vectors whose lanes and blocks change places."""
    dense = source.groups == 1 and source.transposed != result.transposed
    return dense and source.block == source.lanes == result.block == result.lanes


_EXTENTS = ("tiles", "span", "vectors", "width", "tile_stride", "block_stride", "tap_stride")


def _transpose(k: Kernel) -> None:
    """Squares of lanes x lanes, turned in registers. Work items are registers of the result's channels by block.

    Filters of all shapes share the code: extents are arguments, as `PackedFilter` names them.
    """
    span, vectors = k.arg("y_span"), k.arg("y_vectors")
    begin, end = k.share(k.mul(k.arg("y_tiles"), span, vectors))
    with k.loop(begin, end) as item:
        tile, block, vector = k.split(item, span, vectors)
        channels = k.add(k.mul(tile, vectors), vector)
        x_tile, x_vector = k.split(block, k.arg("x_vectors"))
        x_place = k.add(k.mul(x_tile, k.arg("x_tile_stride")), k.mul(x_vector, k.lanes))
        x = k.at(k.arg("x"), k.add(x_place, k.mul(channels, k.arg("x_block_stride"))))
        y_place = k.add(k.mul(tile, k.arg("y_tile_stride")), k.mul(block, k.arg("y_block_stride")))
        y = k.at(k.arg("y"), k.add(y_place, k.mul(vector, k.lanes)))
        inside = k.compare("<", channels, k.arg("x_span"))
        with k.loop(0, k.arg("taps")) as tap:
            y_tap = k.at(y, k.mul(tap, k.arg("y_tap_stride")))
            with k.either(inside) as (holds, empty):
                with holds:
                    _turn(k, k.at(x, k.mul(tap, k.arg("x_tap_stride"))), y_tap)
                with empty:
                    for lane in range(k.lanes):
                        k.store(k.v(0.0), y_tap, k.mul(k.arg("y_width"), lane))


def _turn(k: Kernel, x: Value, y: Value) -> None:
    """One square."""
    rows = [k.load(x, k.mul(k.arg("x_width"), lane)) for lane in range(k.lanes)]
    for lane, row in enumerate(transpose(k, rows)):
        k.store(row, y, k.mul(k.arg("y_width"), lane))


def _zero(k: Kernel) -> None:
    begin, end = k.share(k.div(k.arg("size"), k.lanes))
    with k.loop(begin, end) as vector:
        k.store(k.v(0.0), k.arg("y"), k.mul(vector, k.lanes))


def _copy(k: Kernel, source: Layout, result: Layout, extents: tuple[int, int, int]) -> None:
    """Element by element, whatever the layouts."""
    begin, end = k.share(extents[0])
    with k.loop(begin, end) as first, k.loop(0, extents[1]) as second, k.loop(0, extents[2]) as tap:
        value = k.load_float(k.arg("x"), _offset(k, source, (first, second, tap), extents))
        k.store(value, k.arg("y"), _offset(k, result, (first, second, tap), extents))


def _offset(k: Kernel, layout: Layout, place: Place, extents: tuple[int, int, int]) -> Index:
    """Floats from the layout's start to an element."""
    if isinstance(layout, PackedFilter):
        return _packed_offset(k, layout, place)
    if isinstance(layout, GroupedFilter):
        return _grouped_offset(k, layout, place)
    assert isinstance(layout, Blocked)
    first, second, tap = place
    block, lane = k.split(first, layout.block)
    if layout.height == 1 and extents[1] > 1:  # a matrix lies along the columns
        second, tap = 0, second
    rows = k.add(k.mul(block, layout.cb_stride), k.mul(second, layout.row_stride))
    return k.add(rows, k.mul(tap, layout.block), lane)


def _grouped_offset(k: Kernel, f: GroupedFilter, place: Place) -> Index:
    """As `GroupedFilter.pack` places it."""
    first, channel, tap = place
    result = first
    if f.transposed:
        group, member = k.split(first, f.group)
        result, channel = k.add(k.mul(group, f.group), channel), member
    vector, lane = k.split(result, f.lanes)
    return k.add(k.mul(vector, f.vector_stride), k.mul(tap, f.tap_stride), k.mul(channel, f.lanes), lane)


def _packed_offset(k: Kernel, f: PackedFilter, place: Place) -> Index:
    """As `PackedFilter.pack` places it."""
    first, second, tap = place
    each = f.inputs // f.groups if f.transposed else f.outputs // f.groups
    group = 0 if f.groups == 1 else k.div(first, each)
    if f.transposed:
        inputs, outputs = first, k.add(k.mul(group, f.outputs // f.groups), second)
    else:
        outputs, inputs = first, k.add(k.mul(group, f.inputs // f.groups), second)
    tile, lane = k.split(outputs, f.width)
    block, channel = k.split(inputs, f.block)
    block = k.sub(block, first_block(k, f, tile))
    return k.add(
        k.mul(tile, f.tile_stride),
        k.mul(block, f.block_stride),
        k.mul(tap, f.tap_stride),
        k.mul(channel, f.width),
        lane,
    )
