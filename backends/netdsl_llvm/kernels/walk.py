"""Sums over samples and positions of every channel, in an order that depends on shapes only.

A map's rows (over all samples) are cut into chunks; each (channel block, chunk) is a work item that leaves partial
sums in scratch memory; behind a barrier whoever needs a total adds the block's partial sums in order. Rows are summed
by four interleaved accumulators, so the rounding error grows with the lengths of row, chunk and chunk count, not
with their product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from netdsl.plan.plan import View
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.space import Space
from netdsl_llvm.scratch import most_chunks

LONGEST_ROW = 1024
_UNROLL = 4

Terms = Callable[[dict[str, Value], Index], list[Value]]


@dataclass(frozen=True)
class Walk:
    """All rows of all channel blocks; `chunks` of `rows_each` rows a block."""

    space: Space
    chunks: Index
    rows_each: Index

    @staticmethod
    def over(views: Mapping[str, View], lanes: int, extra: Mapping[str, Access] | None = None) -> Walk:
        """A walk over values of one shape, the first one's; `extra` operands are reached from the same places."""
        layouts = [blocked(view, lanes) for view in views.values()]
        first = layouts[0]
        accesses = {name: own_access(view, lanes) for name, view in views.items()} | dict(extra or {})
        space = Space(first.batch, first.blocks, first.height, first.width, accesses)
        if first.height * first.width <= LONGEST_ROW:
            space = space.joined_rows()
        rows = space.batch * space.height
        rows_each = -(-rows // most_chunks(rows, first.blocks))
        return Walk(space, -(-rows // rows_each), rows_each)

    @property
    def items(self) -> int:
        """Channel blocks times chunks (of an unbound walk)."""
        return int(self.space.blocks * self.chunks)

    def arguments(self) -> dict[str, Index]:
        return self.space.arguments() | {"chunks": self.chunks, "rows_each": self.rows_each}

    def bound(self, k: Kernel) -> Walk:
        return Walk(self.space.bound(k), k.arg("chunks"), k.arg("rows_each"))

    def divides(self, threads: int) -> bool:
        """Whether threads have equal shares where each takes whole channel blocks (of an unbound walk)."""
        return int(self.space.blocks) % threads == 0

    def by_block(self, k: Kernel, *bodies: Callable[[Index, Index], None]) -> None:
        """Run each `body(channel block, chunk)` for all chunks of a block before the next body: what one has read of
        the block the next finds in the cache, and totals of the block need no barrier."""
        begin, end = k.share(self.space.blocks)
        with k.loop(begin, end) as cb:
            for body in bodies:
                with k.loop(0, self.chunks) as chunk:
                    body(cb, chunk)

    def each(self, k: Kernel, body: Callable[[Index, Index], None]) -> None:
        """Run `body(channel block, chunk)` for this thread's items."""
        begin, end = k.share(k.mul(self.space.blocks, self.chunks))
        with k.loop(begin, end) as item:
            cb, chunk = k.split(item, self.chunks)
            body(cb, chunk)

    def limits(self, k: Kernel, chunk: Index) -> tuple[Index, Index]:
        """First row and end of a chunk; row r is row r % height of sample r // height."""
        first = k.mul(chunk, self.rows_each)
        rows = k.mul(self.space.batch, self.space.height)
        return first, k.min(k.add(first, self.rows_each), rows)

    def row(self, k: Kernel, row: Index, cb: Index) -> dict[str, Value]:
        n, h = k.split(row, self.space.height)
        return self.space.rows(k, n, cb, h)

    def pixels(self, k: Kernel, cb: Index, chunk: Index, body: Callable[[dict[str, Value], Index], None]) -> None:
        """Run `body(rows, w)` at every pixel of a chunk."""
        first, end = self.limits(k, chunk)
        with k.loop(first, end) as row:
            rows = self.row(k, row, cb)
            with k.loop(0, self.space.width) as w:
                body(rows, w)

    def sum(self, k: Kernel, cb: Index, chunk: Index, terms: Terms, count: int) -> list[Value]:
        """The sums of `count` terms over a chunk, a vector of lanes each."""
        first, end = self.limits(k, chunk)
        with k.carried_loop(first, end, [k.v(0.0)] * count) as rows:
            pointers = self.row(k, rows.index, cb)
            sums = sum_row(k, self.space.width, lambda w: terms(pointers, w), count)
            rows.carry([k.b.fadd(total, part) for total, part in zip(rows.carried, sums, strict=True)])
        return rows.results

    def leave(self, k: Kernel, partial: Value, cb: Index, chunk: Index, sums: Sequence[Value]) -> None:
        """Put an item's sums where `total` finds them."""
        item = k.add(k.mul(cb, self.chunks), chunk)
        for index, value in enumerate(sums):
            k.store(value, partial, k.mul(k.add(k.mul(item, len(sums)), index), k.lanes), align=4 * k.lanes)

    def total(self, k: Kernel, partial: Value, cb: Index, count: int) -> list[Value]:
        """The sums over all chunks of a block, in order."""
        return sum_vectors(k, partial, k.mul(cb, self.chunks), self.chunks, count)


def sum_vectors(k: Kernel, partial: Value, first: Index, length: Index, count: int) -> list[Value]:
    """`length` groups of `count` vectors, from group `first` on, added in order."""
    with k.carried_loop(0, length, [k.v(0.0)] * count) as loop:
        group = k.mul(k.add(first, loop.index), count)
        parts = [k.load(partial, k.mul(k.add(group, i), k.lanes), align=4 * k.lanes) for i in range(count)]
        loop.carry([k.b.fadd(total, part) for total, part in zip(loop.carried, parts, strict=True)])
    return loop.results


def sum_row(k: Kernel, width: Index, terms: Callable[[Index], list[Value]], count: int) -> list[Value]:
    """The sums of `count` terms over 0 ... width - 1, by four interleaved accumulators each."""
    whole = k.mul(k.div(width, _UNROLL), _UNROLL)
    with k.carried_loop(0, whole, [k.v(0.0)] * (count * _UNROLL), _UNROLL) as loop:
        parts = [part for lane in range(_UNROLL) for part in terms(k.add(loop.index, lane))]
        loop.carry([k.b.fadd(total, part) for total, part in zip(loop.carried, parts, strict=True)])
    four = loop.results
    sums = []
    for i in range(count):
        a, b, c, d = (four[lane * count + i] for lane in range(_UNROLL))
        sums.append(k.b.fadd(k.b.fadd(a, b), k.b.fadd(c, d)))
    with k.carried_loop(whole, width, sums) as loop:
        loop.carry([k.b.fadd(total, part) for total, part in zip(loop.carried, terms(loop.index), strict=True)])
    return loop.results
