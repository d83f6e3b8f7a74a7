"""Distances of a vector to stored points: a block of points at a time, each feature broadcast."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.expression import digest

CHAINS = 4
"""Sums carried side by side, so that an addition need not wait for the one before."""


def emit(run: RunBuilder, step: Step) -> None:
    """(x [F], stored (points, F)) -> [points]."""
    lanes = run.target.lanes
    x, stored, y = (own_access(view, lanes) for view in (*step.inputs, step.outputs[0]))
    points, features = step.input_types[1].shape
    kernel = _Distance(
        x, stored, y, blocked(step.outputs[0], lanes).batch, points, features, step.attrs["norm"] == "squared"
    )
    pointers = {"x": step.inputs[0], "stored": step.inputs[1], "y": step.outputs[0]}
    run.call(f"distance_{digest(kernel)}", kernel.build, pointers, noalias=("y",))


@dataclass(frozen=True)
class _Distance:
    x: Access
    stored: Access
    y: Access
    batch: int
    points: int
    features: int
    squared: bool

    def build(self, k: Kernel) -> None:
        """Work items are blocks of points of one sample."""
        blocks, whole = -(-self.points // k.lanes), self.features // k.lanes
        begin, end = k.share(self.batch * blocks)
        with k.loop(begin, end) as item:
            n, block = k.split(item, blocks)
            with k.carried_loop(0, whole, [k.v(0.0)] * CHAINS) as features:
                features.carry(self._block(k, n, block, features.index, k.lanes, features.carried))
            sums = self._block(k, n, block, whole, self.features - whole * k.lanes, features.results)
            total = k.b.fadd(k.b.fadd(sums[0], sums[1]), k.b.fadd(sums[2], sums[3]))
            left = k.min(k.sub(self.points, k.mul(block, k.lanes)), k.lanes)
            k.store(k.keep_lanes(total, left), k.arg("y"), self.y.offset(k, n, block, 0, 0))

    def _block(self, k: Kernel, n: Index, block: Index, cb: Index, count: int, sums: list[Value]) -> list[Value]:
        """The sums with the first `count` features of block `cb` added."""
        sums = list(sums)
        for lane in range(count):
            x = k.load_broadcast(k.arg("x"), k.add(self.x.offset(k, n, cb, 0, 0), lane))
            column = k.add(k.mul(cb, k.lanes), lane)
            difference = k.b.fsub(x, k.load(k.arg("stored"), self.stored.offset(k, 0, block, 0, column)))
            chain = lane % CHAINS
            if self.squared:
                sums[chain] = k.fma(difference, difference, sums[chain])
            else:
                sums[chain] = k.b.fadd(sums[chain], k.maximum(difference, k.b.fneg(difference)))
        return sums
