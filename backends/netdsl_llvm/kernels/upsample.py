"""Resampling of maps, and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netdsl.ops.upsample import Tap, axis_taps
from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.lookup import FloatTable, IndexTable

Taps = tuple[Tap, ...]


def emit(run: RunBuilder, step: Step) -> None:
    """x -> y, two neighbours along each axis weighed by distance, or the nearest."""
    resample = _resample(run, step, step.input_types[0].shape)
    pointers: dict[str, Any] = {"x": step.inputs[0], "y": step.outputs[0]}
    run.call(f"upsample_{digest(resample)}", resample.forward, pointers)


def emit_grad(run: RunBuilder, step: Step) -> None:
    """g -> dx: each position's share goes back to the pixels it came from."""
    resample = _resample(run, step, step.attrs["shape"])
    pointers: dict[str, Any] = {"x": step.inputs[0], "y": step.outputs[0]}
    run.call(f"upsample_grad_{digest(resample)}", resample.backward, pointers)


def _resample(run: RunBuilder, step: Step, small: tuple[int, ...]) -> _Resample:
    lanes = run.target.lanes
    rows, columns = (tuple(axis_taps(step.attrs, n, m)) for n, m in zip(small[1:], step.attrs["size"], strict=True))
    x, y = own_access(step.inputs[0], lanes), own_access(step.outputs[0], lanes)
    return _Resample(x, y, blocked(step.outputs[0], lanes), rows, columns)


@dataclass(frozen=True)
class _Resample:
    """Operand and result, and for each large position of an axis its neighbours among the small ones."""

    x: Access
    y: Access
    layout: Blocked
    rows: Taps
    columns: Taps

    def forward(self, k: Kernel) -> None:
        layout, rows, columns = self.layout, _Neighbours(k, self.rows), _Neighbours(k, self.columns)
        begin, end = k.share(layout.batch * layout.blocks * layout.height)
        with k.loop(begin, end) as item:
            n, cb, h = k.split(item, layout.blocks, layout.height)
            pair = [k.at(k.arg("x"), self.x.offset(k, n, cb, row, 0)) for row in rows.pixels(h)]
            with k.loop(0, layout.width) as w:
                offsets = [k.mul(column, self.x.w) for column in columns.pixels(w)]
                value = rows.mix(h, [columns.mix(w, [k.load(row, o) for o in offsets]) for row in pair])
                k.store(value, k.arg("y"), self.y.offset(k, n, cb, h, w))

    def backward(self, k: Kernel) -> None:
        layout = self.layout
        rows, columns = _Readers(k, self.rows, layout.height), _Readers(k, self.columns, layout.width)
        begin, end = k.share(layout.batch * layout.blocks * layout.height)
        with k.loop(begin, end) as item:
            n, cb, h = k.split(item, layout.blocks, layout.height)
            with k.loop(0, layout.width) as w:
                with k.carried_loop(*rows.of(h), [k.v(0.0)]) as oh:
                    g = k.at(k.arg("x"), self.x.offset(k, n, cb, oh.index, 0))
                    with k.carried_loop(*columns.of(w), [k.v(0.0)]) as ow:
                        share = k.load(g, k.mul(ow.index, self.x.w))
                        ow.carry([k.fma(share, columns.weight(w, ow.index), ow.carried[0])])
                    oh.carry([k.fma(ow.results[0], rows.weight(h, oh.index), oh.carried[0])])
                k.store(oh.results[0], k.arg("y"), self.y.offset(k, n, cb, h, w))


class _Neighbours:
    """The taps of an axis as tables."""

    def __init__(self, k: Kernel, taps: Taps) -> None:
        self.k = k
        self.single = all(weight == 0 for _, _, weight in taps)
        self._first = IndexTable(k, [first for first, _, _ in taps])
        self._second = IndexTable(k, [second for _, second, _ in taps])
        self._weight = FloatTable(k, [float(weight) for _, _, weight in taps])

    def pixels(self, index: Index) -> list[Index]:
        """The pixels a position is made of: one or two."""
        first = self._first.at(index)
        return [first] if self.single else [first, self._second.at(index)]

    def mix(self, index: Index, values: list[Value]) -> Value:
        """Their mean by distance."""
        if self.single:
            return values[0]
        k, (first, second) = self.k, values
        return k.fma(k.splat(self._weight.at(index)), k.b.fsub(second, first), first)


class _Readers:
    """Which positions read each pixel (a range, for neighbours are in order), and how much of it is in them."""

    def __init__(self, k: Kernel, taps: Taps, length: int) -> None:
        self.k = k
        shares: list[dict[int, float]] = [{} for _ in range(length)]
        for position, (first, second, weight) in enumerate(taps):
            for pixel, part in ((first, 1 - weight), (second, weight)):
                if part:
                    shares[pixel][position] = shares[pixel].get(position, 0.0) + float(part)
        firsts = [min(share, default=0) for share in shares]
        ends = [max(share, default=-1) + 1 for share in shares]
        starts, weights = [], [0.0]
        for share, first, end in zip(shares, firsts, ends, strict=True):
            starts.append(len(weights) - first)
            weights += [share.get(position, 0.0) for position in range(first, end)]
        self._firsts, self._ends = IndexTable(k, firsts), IndexTable(k, ends)
        self._starts, self._weights = IndexTable(k, starts), FloatTable(k, weights)

    def of(self, pixel: Index) -> tuple[Index, Index]:
        return self._firsts.at(pixel), self._ends.at(pixel)

    def weight(self, pixel: Index, position: Index) -> Value:
        """How much of a pixel is in a position that reads it, in every lane."""
        return self.k.splat(self._weights.at(self.k.add(self._starts.at(pixel), position)))
