"""Gradients of pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.plan.layout import Blocked
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, own_access
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.lookup import FloatTable, IndexTable
from netdsl_llvm.kernels.pool import Inner, Spans, spans_of
from netdsl_llvm.kernels.sliding_max import SlidingMaxGrad, runs_of


def emit_max(run: RunBuilder, step: Step) -> None:
    """(x, y, g) -> dx: each window's gradient goes to its first maximum."""
    lanes = run.target.lanes
    x, g, dx = (own_access(view, lanes) for view in (step.inputs[0], step.inputs[2], step.outputs[0]))
    rows, columns = spans_of(step, step.input_types[0].shape, step.input_types[2].shape)
    whole, windows = blocked(step.outputs[0], lanes), blocked(step.inputs[2], lanes)
    epilogue = Epilogue.of(step, lanes)
    runs = runs_of(rows, whole.height), runs_of(columns, whole.width)
    pointers: dict[str, Any] = {"x": step.inputs[0], "g": step.inputs[2], "dx": step.outputs[0], **epilogue.pointers}
    if SlidingMaxGrad.fits(*runs):
        sliding = SlidingMaxGrad(x, g, dx, whole.batch, whole.blocks, whole.width, *runs, epilogue)
        run.call(f"maxpool_grad_{sliding.key}", sliding.build, pointers)
        return
    grad = _MaxGrad(x, g, dx, whole, windows, rows, columns, epilogue)
    key = digest((x, g, dx, whole, windows, rows, columns, epilogue.key))
    run.call(f"maxpool_grad_{key}", grad.build, pointers)


@dataclass(frozen=True)
class _MaxGrad:
    x: Access
    g: Access
    dx: Access
    whole: Blocked
    windows: Blocked
    rows: Spans
    columns: Spans
    epilogue: Epilogue

    def build(self, k: Kernel) -> None:
        """Work items are maps: windows may share pixels, so a map's windows are added one after the other."""
        layout = self.whole
        tops, bottoms = (IndexTable(k, table) for table in (self.rows.starts, self.rows.stops))
        inner = Inner.of(self.rows)
        begin, end = k.share(layout.batch * layout.blocks)
        with k.loop(begin, end) as item:
            n, cb = k.split(item, layout.blocks)
            with k.loop(0, layout.height) as h, k.loop(0, layout.width) as w:
                k.store(k.v(0.0), k.arg("dx"), self.dx.offset(k, n, cb, h, w))

            def edge(start: int, stop: int) -> None:
                if start == stop:
                    return
                with k.loop(start, stop) as oh:
                    top = tops.at(oh)
                    self._row(k, (n, cb, oh), top, k.sub(bottoms.at(oh), top))

            edge(0, inner.first)
            with k.loop(inner.first, inner.stop) as oh:
                self._row(k, (n, cb, oh), inner.start(k, oh, self.rows), inner.width)
            edge(inner.stop, self.windows.height)
            if self.epilogue.key:
                self._finish(k, n, cb)

    def _finish(self, k: Kernel, n: Index, cb: Index) -> None:
        """Apply the epilogue to a map."""
        with k.loop(0, self.whole.height) as h, k.loop(0, self.whole.width) as w:
            offset = self.dx.offset(k, n, cb, h, w)
            value = self.epilogue.apply(k, k.load(k.arg("dx"), offset), n, cb, h, w)
            k.store(value, k.arg("dx"), offset)

    def _row(self, k: Kernel, place: tuple[Index, Index, Index], top: Index, height: Index) -> None:
        """A row of windows: edges by tables of window limits, the columns between in a loop."""
        n, cb, oh = place
        lefts, rights = (IndexTable(k, table) for table in (self.columns.starts, self.columns.stops))
        inner = Inner.of(self.columns)
        g = k.at(k.arg("g"), self.g.offset(k, n, cb, oh, 0))
        x, dx = (
            k.at(k.arg(name), access.offset(k, n, cb, top, 0)) for name, access in (("x", self.x), ("dx", self.dx))
        )

        def window(ow: Index, left: Index, width: Index) -> None:
            taken = k.load(g, k.mul(ow, self.g.w))
            places = k.at(x, k.mul(left, self.x.w)), k.at(dx, k.mul(left, self.dx.w))
            self._give(k, places[1], (height, width), self._first_largest(k, places[0], (height, width)), taken)

        def edge(start: int, stop: int) -> None:
            if start == stop:
                return
            with k.loop(start, stop) as ow:
                left = lefts.at(ow)
                window(ow, left, k.sub(rights.at(ow), left))

        edge(0, inner.first)
        with k.loop(inner.first, inner.stop) as ow:
            window(ow, inner.start(k, ow, self.columns), inner.width)
        edge(inner.stop, self.windows.width)

    def _first_largest(self, k: Kernel, x: Value, size: tuple[Index, Index]) -> Value:
        """Each lane's tap, counted in row-major order."""
        with k.carried_loop(0, size[0], [k.v(float("-inf")), k.iv(0)]) as rows:
            with k.carried_loop(0, size[1], rows.carried) as columns:
                best, index = columns.carried
                value = k.load(x, k.add(k.mul(rows.index, self.x.h), k.mul(columns.index, self.x.w)))
                better = _better(k, value, best)
                tap = _tap(k, rows.index, columns.index, size[1])
                columns.carry([k.b.select(better, value, best), k.b.select(better, tap, index)])
            rows.carry(columns.results)
        return rows.results[1]

    def _give(self, k: Kernel, dx: Value, size: tuple[Index, Index], chosen: Value, g: Value) -> None:
        with k.loop(0, size[0]) as row, k.loop(0, size[1]) as column:
            offset = k.add(k.mul(row, self.dx.h), k.mul(column, self.dx.w))
            self._add(k, dx, offset, k.b.icmp_signed("==", chosen, _tap(k, row, column, size[1])), g)

    def _add(self, k: Kernel, dx: Value, offset: Index, hit: Value, g: Value) -> None:
        k.store(k.b.fadd(k.load(dx, offset), k.b.select(hit, g, k.v(0.0))), dx, offset)


def _better(k: Kernel, value: Value, best: Value) -> Value:
    """Larger, or the first NaN."""
    above = k.b.fcmp_unordered(">", value, best)  # or one of them is NaN
    return k.b.and_(above, k.b.fcmp_ordered("ord", best, best))


def _tap(k: Kernel, row: Index, column: Index, width: Index) -> Value:
    return k.splat(k.b.trunc(k.i(k.add(k.mul(row, width), column)), k.ivector.element))


def emit_average(run: RunBuilder, step: Step) -> None:
    """g -> dx: the sum of the shares of all windows that hold a pixel."""
    lanes = run.target.lanes
    g, dx = own_access(step.inputs[0], lanes), own_access(step.outputs[0], lanes)
    layout = blocked(step.outputs[0], lanes)
    rows, columns = spans_of(step, step.output_types[0].shape, step.input_types[0].shape)
    holders = _holders(rows, layout.height), _holders(columns, layout.width)
    shares = tuple(1.0 / count for count in rows.divisors), tuple(1.0 / count for count in columns.divisors)
    epilogue = Epilogue.of(step, lanes)
    grad = _AverageGrad(g, dx, layout, holders, shares, epilogue)
    pointers: dict[str, Any] = {"g": step.inputs[0], "dx": step.outputs[0], **epilogue.pointers}
    run.call(f"avgpool_grad_{digest((g, dx, layout, holders, shares, epilogue.key))}", grad.build, pointers)


Holders = tuple[tuple[int, ...], tuple[int, ...]]


def _holders(spans: Spans, length: int) -> Holders:
    """First window and end of the windows that hold each position; windows start and stop in order."""
    firsts = tuple(sum(stop <= at for stop in spans.stops) for at in range(length))
    ends = tuple(sum(start <= at for start in spans.starts) for at in range(length))
    return firsts, tuple(max(first, end) for first, end in zip(firsts, ends, strict=True))


@dataclass(frozen=True)
class _AverageGrad:
    g: Access
    dx: Access
    layout: Blocked
    holders: tuple[Holders, Holders]
    shares: tuple[Sequence[float], Sequence[float]]
    epilogue: Epilogue

    def build(self, k: Kernel) -> None:
        layout = self.layout
        (top, bottom), (left, right) = ([IndexTable(k, table) for table in axis] for axis in self.holders)
        row_share, column_share = (FloatTable(k, shares) for shares in self.shares)
        begin, end = k.share(layout.batch * layout.blocks * layout.height)
        with k.loop(begin, end) as item:
            n, cb, h = k.split(item, layout.blocks, layout.height)
            with k.loop(0, layout.width) as w:
                with k.carried_loop(top.at(h), bottom.at(h), [k.v(0.0)]) as rows:
                    with k.carried_loop(left.at(w), right.at(w), rows.carried) as columns:
                        share = k.b.fmul(row_share.at(rows.index), column_share.at(columns.index))
                        g = k.load(k.arg("g"), self.g.offset(k, n, cb, rows.index, columns.index))
                        columns.carry([k.fma(g, k.splat(share), columns.carried[0])])
                    rows.carry(columns.results)
                value = self.epilogue.apply(k, rows.results[0], n, cb, h, w)
                k.store(value, k.arg("dx"), self.dx.offset(k, n, cb, h, w))
