"""Passing over all channels of one pixel: largest value, sums, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netdsl.plan.plan import View
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import blocked, own_access
from netdsl_llvm.kernels.space import Space


@dataclass(frozen=True)
class Pixels:
    """All pixels of values of one shape; a work item is one pixel of one row with all its channels."""

    space: Space
    channels: int
    lanes: int

    @staticmethod
    def of(views: Mapping[str, View], lanes: int) -> Pixels:
        layout = blocked(next(iter(views.values())), lanes)
        accesses = {name: own_access(view, lanes) for name, view in views.items()}
        space = Space(layout.batch, layout.blocks, layout.height, layout.width, accesses)
        return Pixels(space, layout.channels, lanes)

    @property
    def key(self) -> str:
        return str(self.channels)

    def bound(self, k: Kernel) -> Pixels:
        return Pixels(self.space.bound(k), self.channels, self.lanes)

    @property
    def blocks(self) -> int:
        return -(-self.channels // self.lanes)

    def each(self, k: Kernel, body: Callable[[Index, Index, Index], None]) -> None:
        """Run `body(n, h, w)` for this thread's pixels."""
        begin, end = k.share(k.mul(self.space.batch, self.space.height, self.space.width))
        with k.loop(begin, end) as item:
            n, h, w = k.split(item, self.space.height, self.space.width)
            body(n, h, w)

    def load(self, k: Kernel, name: str, n: Index, cb: Index, h: Index, w: Index) -> Value:
        access = self.space.accesses[name]
        return access.load(k, k.arg(name), access.offset(k, n, cb, h, w))

    def store(self, k: Kernel, name: str, value: Value, n: Index, cb: Index, h: Index, w: Index) -> None:
        offset = self.space.accesses[name].offset(k, n, cb, h, w)
        k.store(value, k.arg(name), offset, align=4 * k.lanes)

    def limit(self, k: Kernel, cb: Index) -> Index:
        """Channels from this block on."""
        return k.sub(self.channels, k.mul(cb, self.lanes))

    def keep(self, k: Kernel, value: Value, cb: Index, other: float = 0.0) -> Value:
        """`value` with `other` in the pad channels."""
        if self.channels % self.lanes == 0:
            return value
        return k.b.select(k.lane_mask(k.i(self.limit(k, cb))), value, k.v(other))

    def sum(self, k: Kernel, term: Callable[[Index], Value]) -> Value:
        """The sum over all channels, in every lane; `term(cb)` is zero in pad channels."""
        with k.carried_loop(0, self.space.blocks, [k.v(0.0)]) as loop:
            loop.carry([k.b.fadd(loop.carried[0], term(loop.index))])
        return k.splat(k.sum_lanes(loop.results[0]))

    def largest(self, k: Kernel, term: Callable[[Index], Value]) -> Value:
        """The largest over all channels, in every lane; NaN if there is one."""
        with k.carried_loop(0, self.space.blocks, [k.v(float("-inf"))]) as loop:
            value = self.keep(k, term(loop.index), loop.index, float("-inf"))
            loop.carry([k.maximum(loop.carried[0], value)])
        return k.splat(k.fold(loop.results[0], k.maximum))
