"""The filter of a Winograd convolution, made anew in every run from weights that training changes.

Registers of a result that lie beyond its last channel are not written: no kernel reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.linear import transformed_both_ways
from netdsl_llvm.kernels.relayout import transpose
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.winograd import transforms
from netdsl_llvm.winograd_filter import WinogradFilter

Taps = list[list[Value]]
NEAR_BYTES = 1 << 18
"""A larger result is written past the caches: reading each of its lines first took more than half of the time."""


def emit(run: RunBuilder, step: Step, source: PackedFilter, result: WinogradFilter) -> None:
    """From the layout of the forward direct convolution. Filters of all shapes share the code."""
    assert source.groups == 1 and source.block == source.lanes and not source.transposed
    integers = {f"x_{name}": getattr(source, name) for name in _SOURCE_EXTENTS}
    integers |= {f"y_{name}": getattr(result, name) for name in _RESULT_EXTENTS}
    build = _turned if result.transposed else _straight
    far = 4 * result.size > NEAR_BYTES
    form = f"{'_turned' if result.transposed else ''}{'_far' if far else ''}"
    key = f"transform_filter_{result.results}x{result.kernel}{form}"
    pointers = {"x": step.inputs[0], "y": step.outputs[0]}
    run.call(key, lambda k: build(k, result.results, result.kernel, far), pointers, integers, noalias=("y",))


_SOURCE_EXTENTS = ("vectors", "width", "tile_stride", "block_stride", "tap_stride")
_RESULT_EXTENTS = ("vectors", "width", "tile_stride", "position_stride", "output_vectors", "input_blocks")


def _straight(k: Kernel, results: int, kernel: int, far: bool) -> None:
    """Result channels stay in the lanes."""
    with _registers(k) as (vector, block):
        x, y = _source(k, vector, block), _result(k, vector, block)
        with k.loop(0, k.lanes) as channel:
            row = k.at(x, k.mul(channel, k.arg("x_width")))
            taps = [
                [k.load(row, k.mul(i * kernel + j, k.arg("x_tap_stride"))) for j in range(kernel)]
                for i in range(kernel)
            ]
            _store(k, transformed_both_ways(k, transforms(results, kernel).filter, taps), y, channel, far)


def _turned(k: Kernel, results: int, kernel: int, far: bool) -> None:
    """The source's inputs are the result's channels: squares of the two change places, taps are taken from the last."""
    squares = k.scratch(kernel * kernel * k.lanes * k.lanes)
    with _registers(k) as (vector, block):
        x, y = _source(k, block, vector), _result(k, vector, block)
        with k.loop(0, kernel * kernel) as tap:
            place = k.at(x, k.mul(tap, k.arg("x_tap_stride")))
            rows = [k.load(place, k.mul(k.arg("x_width"), lane)) for lane in range(k.lanes)]
            for channel, row in enumerate(transpose(k, rows)):
                k.store(row, squares, k.mul(k.add(k.mul(channel, kernel * kernel), tap), k.lanes))
        with k.loop(0, k.lanes) as channel:
            row = k.at(squares, k.mul(channel, kernel * kernel * k.lanes))
            last = kernel * kernel - 1
            taps = [[k.load(row, (last - i * kernel - j) * k.lanes) for j in range(kernel)] for i in range(kernel)]
            _store(k, transformed_both_ways(k, transforms(results, kernel).filter, taps), y, channel, far)


@contextmanager
def _registers(k: Kernel) -> Iterator[tuple[Index, Index]]:
    """Registers of result channels by block of inputs, shared out; those of a tile follow each other, for at every
    position they lie side by side, and positions lie in pages of their own."""
    vectors = k.arg("y_vectors")
    tiles = k.div(k.add(k.arg("y_output_vectors"), k.sub(vectors, 1)), vectors)
    begin, end = k.share(k.mul(tiles, k.arg("y_input_blocks")))
    with k.loop(begin, end) as item:
        tile, block = k.split(item, k.arg("y_input_blocks"))
        first = k.mul(tile, vectors)
        with k.loop(first, k.min(k.add(first, vectors), k.arg("y_output_vectors"))) as vector:
            yield vector, block
    k.b.fence("seq_cst")


def _source(k: Kernel, vector: Index, block: Index) -> Value:
    """Where a register of the source's result channels begins in a block of its inputs."""
    tile, member = k.split(vector, k.arg("x_vectors"))
    place = k.add(k.mul(tile, k.arg("x_tile_stride")), k.mul(block, k.arg("x_block_stride")), k.mul(member, k.lanes))
    return k.at(k.arg("x"), place)


def _result(k: Kernel, vector: Index, block: Index) -> Value:
    """Where a register of result channels begins in a block of inputs, at the first position."""
    tile, member = k.split(vector, k.arg("y_vectors"))
    place = k.add(k.mul(block, k.lanes, k.arg("y_width")), k.mul(member, k.lanes))
    return k.at(k.arg("y"), k.add(k.mul(tile, k.arg("y_tile_stride")), place))


def _store(k: Kernel, values: Taps, y: Value, channel: Index, far: bool) -> None:
    row = k.at(y, k.mul(channel, k.arg("y_width")))
    store = k.store_past_caches if far else k.store
    for position, value in enumerate(value for line in values for value in line):
        store(value, row, k.mul(position, k.arg("y_position_stride")))
