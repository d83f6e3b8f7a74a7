"""Gradients of filters by Winograd's minimal filtering: transforms, sums of outer products by position, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.conv_windows import grad_weight_axes
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.linear import load_square, store_positions, transformed_both_ways
from netdsl_llvm.kernels.sliding import by_vectors, keep_order
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.winograd import Matrix, transforms
from netdsl_llvm.winograd_gradient import GradientWork

VECTORS = 3
"""Registers of result channels in a register tile of sums."""


def emit(run: RunBuilder, step: Step, filter: PackedFilter, work: GradientWork) -> None:
    """conv_grad_weight(g, x) into a packed filter."""
    lanes = run.target.lanes
    x = blocked(step.inputs[1], lanes)
    rows, cols = grad_weight_axes(call_of(step))
    first = rows.lowest * x.row_stride + cols.lowest * x.block
    memory = run.pointer(step.scratch) if step.scratch is not None else None
    assert memory is not None
    gradients = run.k.at(memory, work.positions * work.input_stride)
    pointers = {
        "g": step.inputs[0],
        "x": run.k.at(run.pointer(step.inputs[1]), first),
        "filter": step.outputs[0],
        "inputs": memory,
        "gradients": gradients,
        "sums": run.k.at(gradients, work.positions * work.gradient_stride),
    }
    builder = _Sources(own_access(step.inputs[1], lanes), own_access(step.inputs[0], lanes), filter)
    name = f"winograd_gradient_{work.results}x{work.kernel}_{digest((work, builder))}"

    def call(part: str, build: Callable[[_Builder], None], **integers: Index) -> None:
        run.call(f"{name}_{part}", lambda k: build(_Builder(k, work, builder)), pointers, integers)

    for number in range(work.chunks):
        start = number * work.chunk
        chunk: dict[str, Index] = {"first": start, "count": min(work.chunk, work.tiles - start)}
        if number:
            run.barrier()
        call("transform", _Builder.transform, **chunk)
        run.barrier()
        if number == 0:
            call("sum", lambda b: b.sum(again=False), **chunk)
        else:
            call("sum_again", lambda b: b.sum(again=True), **chunk)
    run.barrier()
    call("finish", _Builder.finish)


@dataclass(frozen=True)
class _Sources:
    """Where operands lie: strides of the input and of the gradient, and the layout of the result."""

    x: Access
    g: Access
    filter: PackedFilter


@dataclass
class _Builder:
    k: Kernel
    work: GradientWork
    at: _Sources

    def transform(self) -> None:
        """Inputs and gradients of a chunk, shared out by channel block and tile."""
        k, w = self.k, self.work
        pair = transforms(w.results, w.kernel)
        spread = tuple(zip(*pair.results, strict=True))
        begin, end = k.share(k.mul(w.input_blocks + w.output_vectors, k.arg("count")))
        with k.loop(begin, end) as item:
            block, tile = k.split(item, k.arg("count"))
            with k.either(k.compare("<", block, w.input_blocks)) as (of_input, of_gradient):
                with of_input:
                    self._transform("x", self.at.x, pair.inputs, "inputs", w.input_stride, block, tile)
                with of_gradient:
                    block = k.sub(block, w.input_blocks)
                    self._transform("g", self.at.g, spread, "gradients", w.gradient_stride, block, tile)

    def _transform(
        self, source: str, access: Access, matrix: Matrix, result: str, stride: int, block: Index, tile: Index
    ) -> None:
        k, w = self.k, self.work
        n, row, col = k.split(k.add(k.arg("first"), tile), w.rows, w.cols)
        place = access.offset(k, n, block, k.mul(row, w.results), k.mul(col, w.results))
        read = load_square(k, k.at(k.arg(source), place), len(matrix[0]), access.h, access.w)
        values = transformed_both_ways(k, matrix, read)
        store_positions(k, values, k.at(k.arg(result), k.mul(k.add(k.mul(block, w.chunk), tile), k.lanes)), stride)

    # -- sums ------------------------------------------------------------------------------

    def sum(self, *, again: bool) -> None:
        """Outer products summed over the tiles of a chunk; work items are positions and registers of results."""
        k, w = self.k, self.work
        vectors = min(VECTORS, w.output_vectors)
        groups = -(-w.output_vectors // vectors)
        begin, end = k.share(w.positions * groups)
        with k.loop(begin, end) as item:
            position, group = k.split(item, groups)
            whole = k.compare("<", group, groups - 1)
            by_vectors(
                k,
                whole,
                (vectors, w.output_vectors % vectors),
                lambda count: self._sums_of(position, k.mul(group, vectors), count, again),
            )
        if w.sums_leave:
            k.b.fence("seq_cst")

    def _sums_of(self, position: Index, vector: Index, vectors: int, again: bool) -> None:
        """For all inputs, some channels at a time."""
        k, w = self.k, self.work
        channels = max(1, min(k.lanes, (k.target.registers - 1 - vectors) // vectors))
        while k.lanes % channels:
            channels -= 1
        x = k.at(k.arg("inputs"), k.mul(position, w.input_stride))
        g = k.at(k.arg("gradients"), k.mul(position, w.gradient_stride))
        g = k.at(g, k.mul(vector, w.chunk * k.lanes))
        sums = k.at(k.arg("sums"), k.mul(position, w.sum_stride))
        with k.loop(0, w.input_blocks) as block, k.loop(0, k.lanes, channels) as channel:
            read = k.at(x, k.add(k.mul(block, w.chunk * k.lanes), channel))
            place = k.add(k.mul(vector, w.input_blocks * k.lanes), k.mul(block, k.lanes), channel)
            self._register_tile(read, g, k.at(sums, k.mul(place, k.lanes)), channels, vectors, again)

    def _register_tile(self, x: Value, g: Value, sums: Value, channels: int, vectors: int, again: bool) -> None:
        k, w = self.k, self.work
        step = w.input_blocks * k.lanes * k.lanes
        places = [v * step + c * k.lanes for v in range(vectors) for c in range(channels)]
        start = [k.load(sums, place, align=4 * k.lanes) if again else k.v(0.0) for place in places]
        with k.carried_loop(0, k.arg("count"), start) as loop:
            offset = k.mul(loop.index, k.lanes)
            gradients = [k.load(g, k.add(offset, v * w.chunk * k.lanes), align=4 * k.lanes) for v in range(vectors)]
            values = list(loop.carried)
            keep_order(k)
            for c in range(channels):
                scalar = k.load_broadcast(x, k.add(offset, c))
                for v, gradient in enumerate(gradients):
                    values[v * channels + c] = k.fma(scalar, gradient, loop.carried[v * channels + c])
            loop.carry(values)
        for place, value in zip(places, loop.results, strict=True):
            if w.sums_leave:
                k.store_past_caches(value, sums, place)
            else:
                k.store(value, sums, place, align=4 * k.lanes)

    # -- back ------------------------------------------------------------------------------

    def finish(self) -> None:
        """G' S G of every register of results and input channel, into the filter's layout."""
        k, w, f = self.k, self.work, self.at.filter
        matrix = tuple(zip(*transforms(w.results, w.kernel).filter, strict=True))
        begin, end = k.share(f.tiles * f.vectors * w.input_blocks)
        with k.loop(begin, end) as item:
            vector, block = k.split(item, w.input_blocks)
            tile, member = k.split(vector, f.vectors)
            place = k.add(k.mul(tile, f.tile_stride), k.mul(block, f.block_stride), k.mul(member, k.lanes))
            result = k.at(k.arg("filter"), place)
            sums = k.at(k.arg("sums"), k.mul(item, k.lanes * k.lanes))
            with k.loop(0, k.lanes) as channel:
                row = k.at(result, k.mul(channel, f.width))
                with k.either(k.compare("<", vector, w.output_vectors)) as (inside, beyond):
                    with inside:
                        source = k.at(sums, k.mul(channel, k.lanes))
                        read = load_square(k, source, w.tile, w.tile * w.sum_stride, w.sum_stride)
                        store_positions(k, transformed_both_ways(k, matrix, read), row, f.tap_stride)
                    with beyond:
                        store_positions(k, [[k.v(0.0)] * f.taps], row, f.tap_stride)
