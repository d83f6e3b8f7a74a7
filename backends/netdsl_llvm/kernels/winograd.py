"""Convolutions of small kernels with stride 1 by Winograd's minimal filtering.

For a block of tiles: the inputs are transformed, position by position a matrix product over the channels follows, and
its results are transformed back, tile of filters by tile of filters. The transformed inputs of a block stay in the
second-level cache where they fit, the products of one filter tile always do. Filters come transformed, or, where
training changes them, as weights that are transformed here: into memory that does not leave the caches where each tile
of them is multiplied before the next is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from netdsl.plan.plan import Step, View
from netdsl_llvm.algorithms import changing_filter
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import blocked
from netdsl_llvm.kernels.correlate import Accumulation, Ahead
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.linear import load_square, store_positions, transformed_both_ways
from netdsl_llvm.kernels.sliding import Sliding, by_vectors, stride_arguments, with_strides, without_strides
from netdsl_llvm.kernels.transform_filter import FilterTransform, weight_arguments
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.winograd import transforms
from netdsl_llvm.winograd_costs import cheapest
from netdsl_llvm.winograd_filter import WinogradFilter
from netdsl_llvm.winograd_work import Work


def emit(run: RunBuilder, step: Step, sliding: Sliding, epilogue: Epilogue, places: Mapping[str, View | Value]) -> None:
    """A correlation with a `WinogradFilter`, or with weights that become one; ``places`` as for `correlate.call`."""
    weights, scratch = step.inputs[1].layout, step.scratch
    assert scratch is not None
    x, y = blocked(step.inputs[0], run.target.lanes), blocked(step.outputs[0], run.target.lanes)
    threads, changing = run.plan.threads, not isinstance(weights, WinogradFilter)
    filter = changing_filter(run.target, step.op, call_of(step), y.batch, threads) if changing else weights
    assert isinstance(filter, WinogradFilter)
    work, _ = cheapest(filter, run.target.registers, y.batch, y.height, y.width, threads, changing)
    integers: dict[str, Index] = {"filter_tiles": filter.tiles, "x_blocks": x.blocks}
    integers |= {"input_blocks": filter.input_blocks, "group_tiles": filter.tiles // filter.groups}
    integers |= weight_arguments(weights) if isinstance(weights, PackedFilter) else {}
    integers |= stride_arguments(sliding, epilogue)
    shape, shared = without_strides(sliding, epilogue)
    f = _smallest(filter)
    name = f"winograd_{work.results}x{filter.kernel}_{y.height}x{y.width}_{digest((f, work, shape))}"
    pointers = {**places, "inputs": run.pointer(scratch)}
    pointers["products"] = run.k.at(pointers["inputs"], work.inputs_size(filter))
    if changing:
        pointers["made"] = run.k.at(pointers["products"], work.threads * work.products_size(filter))

    def call(part: str) -> None:
        def build(k: Kernel) -> None:
            getattr(_Builder(k, f, work, *with_strides(k, shape, shared)), part)()

        run.call(f"{name}{shared.key}_{part}", build, pointers, integers)

    if not work.shared:
        if changing:
            call("transform_filter")
            run.barrier()
        call("blocks")
        return
    call("transform_all")
    run.barrier()
    call("multiply_tiles" if changing else "multiply_all")


def _smallest(f: WinogradFilter) -> WinogradFilter:
    """The filter with the fewest channels that has the same code."""
    if f.groups > 1:
        return f
    outputs, inputs = f.fewest(f.lanes)
    return replace(f, outputs=outputs, inputs=inputs)


@dataclass
class _Builder:
    k: Kernel
    filter: WinogradFilter
    work: Work
    s: Sliding
    epilogue: Epilogue

    # -- who does what ---------------------------------------------------------------------

    def blocks(self) -> None:
        """Each thread takes blocks of tiles from end to end, with working memory of its own."""
        k, work = self.k, self.work
        own = k.at(k.arg("inputs"), k.mul(k.arg("thread"), self._block_size()))
        begin, end = k.share(work.blocks)
        with k.loop(begin, end) as block:
            first = k.mul(block, work.block)
            count = k.min(work.block, k.sub(work.tiles, first))
            with k.loop(0, k.arg("x_blocks")) as channels, k.loop(0, count) as tile:
                self._transform_inputs(own, channels, tile, k.add(first, tile))
            with k.loop(0, k.arg("filter_tiles")) as filter_tile:
                self._filter_tile(own, self._weights(filter_tile), filter_tile, first, count)

    def transform_all(self) -> None:
        """The inputs of all tiles, shared out by channel block and tile."""
        k, work = self.k, self.work
        begin, end = k.share(k.mul(k.arg("x_blocks"), work.tiles))
        with k.loop(begin, end) as item:
            channels, number = k.split(item, work.tiles)
            block, tile = k.split(number, work.block)
            self._transform_inputs(self._inputs_of(block), channels, tile, number)

    def multiply_all(self) -> None:
        """The products of all blocks and their way back, shared out by filter tile and block."""
        k, work = self.k, self.work
        begin, end = k.share(k.mul(k.arg("filter_tiles"), work.blocks))
        with k.loop(begin, end) as item:
            filter_tile, block = k.split(item, work.blocks)
            self._block_of(filter_tile, self._weights(filter_tile), block)

    def multiply_tiles(self) -> None:
        """As `multiply_all`, but each thread transforms the filter tiles it takes."""
        k, work = self.k, self.work
        begin, end = k.share(k.mul(k.arg("filter_tiles"), work.blocks))
        last = k.div(k.add(end, work.blocks - 1), work.blocks)
        weights = self._weights(k.arg("thread"))  # where a filter ahead has its tiles, here each thread has one
        transform = self._filter_transform()
        with k.loop(k.div(begin, work.blocks), last) as filter_tile:
            with k.loop(0, k.arg("input_blocks")) as block:
                self._transform_block(transform, filter_tile, block, weights)
            start = k.mul(filter_tile, work.blocks)
            with k.loop(k.max(k.sub(begin, start), 0), k.min(k.sub(end, start), work.blocks)) as block:
                self._block_of(filter_tile, weights, block)

    def _block_of(self, filter_tile: Index, weights: Value, block: Index) -> None:
        """The results of one filter tile for a block of the transformed inputs of all."""
        k, work = self.k, self.work
        first = k.mul(block, work.block)
        count = k.min(work.block, k.sub(work.tiles, first))
        self._filter_tile(self._inputs_of(block), weights, filter_tile, first, count)

    def _inputs_of(self, block: Index) -> Value:
        return self.k.at(self.k.arg("inputs"), self.k.mul(block, self._block_size()))

    def _block_size(self) -> Index:
        """Elements of the transformed inputs of a block of tiles."""
        return self.k.mul(self.filter.positions, self._position_stride())

    def _position_stride(self) -> Index:
        """From one position to the next: a cache line more than the tiles, or all would fall into one cache set."""
        return self.k.add(self.k.mul(self.work.panels, self._panel_stride()), self.work.gap)

    def _panel_stride(self) -> Index:
        """From the tiles that are multiplied together to the next such: their channel blocks follow each other."""
        return self.k.mul(self.k.arg("x_blocks"), self.work.panel * self.k.lanes)

    # -- filters ---------------------------------------------------------------------------

    def transform_filter(self) -> None:
        """All of it, shared out by tile and block of inputs."""
        k = self.k
        begin, end = k.share(k.mul(k.arg("filter_tiles"), k.arg("input_blocks")))
        transform = self._filter_transform()
        with k.loop(begin, end) as item:
            filter_tile, block = k.split(item, k.arg("input_blocks"))
            self._transform_block(transform, filter_tile, block, self._weights(filter_tile))

    def _weights(self, filter_tile: Index) -> Value:
        """Those of a tile in the filter that was transformed as a whole."""
        k = self.k
        whole = k.arg("made" if self.work.changing else "filter")
        return k.at(whole, k.mul(filter_tile, self.filter.positions, self._position_weights()))

    def _position_weights(self) -> Index:
        """Elements from one position's weights to the next one's."""
        k, work = self.k, self.work
        dense = k.mul(k.arg("input_blocks"), k.lanes * self.filter.width)
        return k.add(dense, work.gap) if work.changing else dense

    def _filter_transform(self) -> FilterTransform:
        return FilterTransform(self.k, self.filter, self._position_weights())

    def _transform_block(self, transform: FilterTransform, filter_tile: Index, block: Index, weights: Value) -> None:
        """A block of inputs of a filter tile, into its transformed ``weights``."""
        k, f = self.k, self.filter
        first, place = k.mul(filter_tile, f.vectors), k.at(weights, k.mul(block, k.lanes * f.width))
        with k.loop(0, self._vectors_of(filter_tile)) as vector:
            transform.register(k.add(first, vector), block, k.at(place, k.mul(vector, k.lanes)))

    def _vectors_of(self, filter_tile: Index) -> Index:
        """Registers of result channels in a filter tile."""
        k, f = self.k, self.filter
        missing = -f.output_vectors % f.vectors
        outputs = k.sub(k.mul(k.arg("filter_tiles"), f.vectors), missing)
        return k.min(f.vectors, k.sub(outputs, k.mul(filter_tile, f.vectors)))

    # -- inputs ----------------------------------------------------------------------------

    def _transform_inputs(self, block: Value, channels: Index, tile: Index, number: Index) -> None:
        """B' d B of one tile and block of channels."""
        k, s, size = self.k, self.s, self.filter.size_of_tile
        n, row, col = k.split(number, self.work.rows, self.work.cols)
        top, left = k.mul(row, self.work.results), k.mul(col, self.work.results)
        source = k.at(k.arg("x"), s.x.offset(k, n, channels, top, left))
        read = load_square(k, source, size, s.x.h, s.x.w)
        values = transformed_both_ways(k, transforms(self.work.results, self.filter.kernel).inputs, read)
        panel, member = k.split(tile, self.work.panel)
        place = k.mul(k.add(k.mul(channels, self.work.panel), member), k.lanes)
        place = k.at(block, k.add(k.mul(panel, self._panel_stride()), place))
        store_positions(k, values, place, self._position_stride())

    # -- products --------------------------------------------------------------------------

    def _filter_tile(self, inputs: Value, weights: Value, filter_tile: Index, first: Index, count: Index) -> None:
        """The results of one filter tile for the block of ``count`` tiles from number ``first``."""
        k, f = self.k, self.filter
        products = k.at(k.arg("products"), k.mul(k.arg("thread"), self.work.products_size(f)))
        by_vectors(
            k,
            k.compare("<", filter_tile, k.sub(k.arg("filter_tiles"), 1)),
            (f.vectors, f.output_vectors % f.vectors),
            lambda vectors: self._multiply(inputs, weights, filter_tile, products, vectors, count),
        )
        with k.loop(0, self._vectors_of(filter_tile)) as vector, k.loop(0, count) as tile:
            self._transform_results(products, filter_tile, vector, tile, k.add(first, tile))

    def _multiply(
        self, inputs: Value, weights: Value, filter_tile: Index, products: Value, vectors: int, count: Index
    ) -> None:
        k, f, work = self.k, self.filter, self.work
        panel, panels = work.panel, work.panels
        group = k.div(filter_tile, k.arg("group_tiles")) if f.groups > 1 else 0
        start = k.mul(group, k.arg("input_blocks"), panel * k.lanes)
        whole, rest = divmod(work.block, panel)
        filled = k.min(panels, k.div(k.add(count, panel - 1), panel))
        with k.loop(0, f.positions) as position:
            x = k.at(inputs, k.add(start, k.mul(position, self._position_stride())))
            w = k.at(weights, k.mul(position, self._position_weights()))
            y = k.at(products, k.mul(position, work.product_stride(f)))

            with k.loop(0, k.min(filled, whole)) as number:
                self._panel(x, w, y, number, panel, vectors)
            if rest:
                with k.loop(whole, filled) as number:
                    self._panel(x, w, y, number, rest, vectors)

    @property
    def _flat(self) -> PackedFilter:
        """The filter of one position."""
        f = self.filter
        return PackedFilter(f.width, f.group_inputs, (), 1, f.lanes, f.vectors, f.lanes)

    def _panel(self, x: Value, weights: Value, y: Value, number: Index, length: int, vectors: int) -> None:
        """The products of a panel's ``length`` tiles."""
        k, f, work = self.k, self.filter, self.work
        first = k.mul(number, work.panel)
        ahead = Ahead.share(k, self._flat, self._position_weights(), first, length, work.block)
        pixels = tuple(i * k.lanes for i in range(length))
        whole = k.sub(k.arg("input_blocks"), 1 if f.group_inputs % f.lanes else 0)
        walk = Sliding.of_products(k.lanes, work.panel * k.lanes)
        sums = Accumulation(k, self._flat, walk, vectors, pixels, whole, ahead).over_blocks(
            k.at(x, k.mul(number, self._panel_stride())), weights, [k.v(0.0)] * (vectors * length)
        )
        for index, value in enumerate(sums):
            vector, pixel = divmod(index, length)
            k.store(value, y, k.mul(k.add(first, vector * work.block + pixel), k.lanes), align=4 * k.lanes)

    # -- results ---------------------------------------------------------------------------

    def _transform_results(
        self, products: Value, filter_tile: Index, vector: Index, tile: Index, number: Index
    ) -> None:
        """A' m A of one tile and register of channels, and what of it lies in the map stored."""
        k, f, work = self.k, self.filter, self.work
        size, step = f.size_of_tile, work.product_stride(f)
        source = k.at(products, k.mul(k.add(k.mul(vector, work.block), tile), k.lanes))
        read = [[k.load(source, (i * size + j) * step, align=4 * k.lanes) for j in range(size)] for i in range(size)]
        values = transformed_both_ways(k, transforms(work.results, f.kernel).results, read)
        square = k.scratch(work.results**2 * k.lanes)
        for index, value in enumerate(v for line in values for v in line):
            k.store(value, square, index * k.lanes, align=4 * k.lanes)
        self._store(square, k.add(k.mul(filter_tile, f.vectors), vector), number)

    def _store(self, square: Value, block: Index, number: Index) -> None:
        """From the stack to the map: a loop, for the last tiles of a row or column reach beyond it."""
        k, s, results = self.k, self.s, self.work.results
        n, row, col = k.split(number, self.work.rows, self.work.cols)
        top, left = k.mul(row, results), k.mul(col, results)
        bias = k.load(k.arg("bias"), k.mul(block, k.lanes), align=4 * k.lanes) if s.bias else None
        height, width = k.min(results, k.sub(s.rows, top)), k.min(results, k.sub(s.cols, left))
        with k.loop(0, height) as i, k.loop(0, width) as j:
            value = k.load(square, k.mul(k.add(k.mul(i, results), j), k.lanes), align=4 * k.lanes)
            if bias is not None:
                value = k.b.fadd(value, bias)
            h, w = k.add(top, i), k.add(left, j)
            value = self.epilogue.apply(k, value, n, block, h, w)
            k.store(value, k.arg("y"), s.y.offset(k, n, block, h, w), align=4 * k.lanes)
