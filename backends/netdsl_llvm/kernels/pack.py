"""Filters on their way into a network's memory: rows of a weight turned into lanes, scaled, transformed.

A row holds everything that one result channel reads, as the weight's logical shape lists it: (input channel, kernel
position). Packed, `lanes` rows lie side by side, so squares of lanes x lanes are turned in registers. Each row has a
factor in float64 (a batch norm's scale, or 1): the product is taken in float64 and rounded once, when it is stored.
Where a weight's last square would reach over the rows' ends it starts earlier and does some columns twice, perhaps
in two threads: both store the same bits.

Extents are arguments, so that a few small objects serve all networks; `arguments` is an array of addresses and numbers,
in the order of the functions' lists of names.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from netdsl_llvm.emit import I64, POINTER, Index, ModuleBuilder, Value
from netdsl_llvm.kernels.relayout import transpose
from netdsl_llvm.packing_entries import PACK, ROWS, WINOGRAD_ROWS
from netdsl_llvm.target import Target
from netdsl_llvm.winograd import transforms

DOUBLE = ir.DoubleType()
_POINTERS = {"source", "result", "factors", "bases", "places"}


def pack_rows_text(target: Target) -> str:
    """The LLVM IR of the function that packs rows, `target.lanes` side by side."""
    packing = _Packing(target, ROWS)
    packing.rows()
    return packing.text()


def pack_winograd_text(target: Target, results: int, kernel: int) -> str:
    """The LLVM IR of the function that packs filters for F(results, kernel)."""
    packing = _Packing(target, WINOGRAD_ROWS)
    packing.winograd(results, kernel)
    return packing.text()


class _Packing:
    """The function under construction; `names` are its arguments."""

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        module = ModuleBuilder(target, "netdsl-packing")
        self.k = k = module.job(PACK)
        self._given = {name: self._argument(number, name) for number, name in enumerate(names)}
        self._doubles = ir.VectorType(DOUBLE, k.lanes)

    def _argument(self, number: int, name: str) -> Value:
        place = self._element(self.k.arg("arguments"), number, I64)
        return self.k.b.load(place, typ=POINTER if name in _POINTERS else I64)

    def text(self) -> str:
        self.k.b.ret_void()
        return str(self.k.module.ir)

    def __getitem__(self, name: str) -> Value:
        return self._given[name]

    # -- the functions ---------------------------------------------------------------------

    def rows(self) -> None:
        """Column c of the rows from v * lanes on goes to bases[v] + places[c]."""
        k = self.k
        squares = k.div(k.add(self["columns"], k.lanes - 1), k.lanes)
        begin, end = k.share(k.mul(self._vectors(), squares))
        with k.loop(begin, end) as item:
            vector, square = k.split(item, squares)
            column = k.min(k.mul(square, k.lanes), k.sub(self["columns"], k.lanes))
            into = k.at(self["result"], self._integer("bases", vector))
            factors, pointers = self._factors(vector), self._row_pointers(vector)
            turned = transpose(k, [k.load(pointer, column) for pointer in pointers])
            for number, values in enumerate(turned):
                product = k.b.fmul(k.b.fpext(values, self._doubles), factors)
                self._store(product, vector, k.at(into, self._integer("places", k.add(column, number))))

    def winograd(self, results: int, kernel: int) -> None:
        """G g G' of input channel c goes to bases[v] + c * `step`, its positions `position_stride` apart.

        Work items are `lanes` input channels of `lanes` rows: their taps fill whole squares. All of them are half
        transformed before the first is stored, so that a line of positions after the other can be: positions lie a
        power of two apart, and the lines of a filter would drive each other out of the first-level cache.
        """
        k, taps, tile = self.k, kernel * kernel, results + kernel - 1
        chunks = k.div(k.add(self["channels"], k.lanes - 1), k.lanes)
        begin, end = k.share(k.mul(self._vectors(), chunks))
        turned = k.scratch(taps * k.lanes * k.lanes)
        halves = k.scratch(2 * k.lanes * kernel * tile * k.lanes)
        with k.loop(begin, end) as item:
            vector, chunk = k.split(item, chunks)
            channel = k.min(k.mul(chunk, k.lanes), k.sub(self["channels"], k.lanes))
            into = k.at(self["result"], self._integer("bases", vector))
            self._turn(vector, k.mul(channel, taps), taps, turned)
            with k.loop(0, k.lanes) as member:
                filter = k.at(turned, k.mul(member, taps * k.lanes))
                self._half_transformed(
                    vector, filter, results, kernel, self._wide(halves, k.mul(member, kernel * tile))
                )
            with k.loop(0, tile) as line, k.loop(0, k.lanes) as member:
                place = k.at(into, k.mul(k.add(channel, member), self["step"]))
                half = self._wide(halves, k.mul(member, kernel * tile))
                self._transformed(vector, half, results, kernel, line, place)

    def _turn(self, vector: Index, column: Index, squares: int, turned: Value) -> None:
        """Columns of `lanes` rows from `column` on, one vector each."""
        k, pointers = self.k, self._row_pointers(vector)
        with k.loop(0, squares) as square:
            first = k.mul(square, k.lanes)
            rows = transpose(k, [k.load(pointer, k.add(column, first)) for pointer in pointers])
            for number, values in enumerate(rows):
                k.store(values, turned, k.mul(k.add(first, number), k.lanes), align=4 * k.lanes)

    def _half_transformed(self, vector: Index, filter: Value, results: int, kernel: int, half: Value) -> None:
        """G g, [column][row] of doubles."""
        k, matrix = self.k, transforms(results, kernel).filter
        factors = self._factors(vector)
        with k.loop(0, kernel) as column:
            taps = [
                k.load(filter, k.mul(k.add(column, row * kernel), k.lanes), align=4 * k.lanes) for row in range(kernel)
            ]
            scaled = [k.b.fmul(k.b.fpext(values, self._doubles), factors) for values in taps]
            for number, row in enumerate(matrix):
                place = self._wide(half, k.add(k.mul(column, len(matrix)), number))
                k.b.store(self._sum(row, scaled), place, align=8)

    def _transformed(self, vector: Index, half: Value, results: int, kernel: int, line: Index, into: Value) -> None:
        """A line of positions of (G g) G'."""
        k, matrix = self.k, transforms(results, kernel).filter
        places = [self._wide(half, k.add(line, column * len(matrix))) for column in range(kernel)]
        values = [k.b.load(place, typ=self._doubles, align=8) for place in places]
        for number, row in enumerate(matrix):
            position = k.add(k.mul(line, len(matrix)), number)
            self._store(self._sum(row, values), vector, k.at(into, k.mul(self["position_stride"], position)))

    # -- their parts -----------------------------------------------------------------------

    def _vectors(self) -> Index:
        k = self.k
        return k.div(k.add(self["rows"], k.lanes - 1), k.lanes)

    def _row_pointers(self, vector: Index) -> list[Value]:
        """Where `lanes` rows start; beyond the last row the last again, of which nothing is kept."""
        k = self.k
        first, last = k.mul(vector, k.lanes), k.sub(self["rows"], 1)
        numbers = [k.min(k.add(first, lane), last) for lane in range(k.lanes)]
        return [k.at(self["source"], k.mul(number, self["row_stride"])) for number in numbers]

    def _factors(self, vector: Index) -> Value:
        k = self.k
        return k.b.load(self._element(self["factors"], k.mul(vector, k.lanes), DOUBLE), typ=self._doubles, align=8)

    def _store(self, value: Value, vector: Index, pointer: Value) -> None:
        """Rounded; zero in the lanes beyond the last row."""
        k = self.k
        count = k.sub(self["rows"], k.mul(vector, k.lanes))
        k.store(k.keep_lanes(k.b.fptrunc(value, k.vector), count), pointer)

    def _sum(self, weights: Sequence[float], values: Sequence[Value]) -> Value:
        b = self.k.b
        terms = [
            value if weight == 1 else b.fmul(value, ir.Constant(self._doubles, [weight] * self.k.lanes))
            for weight, value in zip(weights, values, strict=True)
            if weight
        ]
        total = terms[0]
        for term in terms[1:]:
            total = b.fadd(total, term)
        return total

    def _wide(self, pointer: Value, number: Index) -> Value:
        """The address of a vector of doubles."""
        return self._element(pointer, self.k.mul(number, self.k.lanes), DOUBLE)

    def _integer(self, name: str, number: Index) -> Value:
        return self.k.b.load(self._element(self[name], number, I64), typ=I64)

    def _element(self, pointer: Value, number: Index, kind: ir.Type) -> Value:
        return self.k.b.gep(pointer, [self.k.i(number)], inbounds=True, source_etype=kind)
