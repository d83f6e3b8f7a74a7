"""Sums: `sum_to`, and means of scalar expressions."""

from __future__ import annotations

from typing import Any

from netdsl.diagnostics import Unsupported
from netdsl.ir.scalar import Expr, Var
from netdsl.ops.base import get
from netdsl.ops.mean_loss import MeanLoss
from netdsl.plan.layout import canonical
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, blocked, broadcast_access, own_access
from netdsl_llvm.kernels.expression import digest, emit_expression, keeps_zero
from netdsl_llvm.kernels.walk import Walk, sum_vectors


def emit_mean_loss(run: RunBuilder, step: Step) -> None:
    """The mean of an expression of (prediction, target) over all elements."""
    op = get(step.op)
    assert isinstance(op, MeanLoss)
    assert step.scratch is not None
    layout = blocked(step.inputs[0], run.target.lanes)
    count = layout.batch * step.input_types[0].elements
    emit_total(run, step, op.term, ("a", "b"), 1.0 / count)


def emit_sum_to(run: RunBuilder, step: Step) -> None:
    """Sum over the axes that the result lacks or has 1 of."""
    keeps = _Kept.of(step)
    if keeps == _Kept(False, True, False, False):
        _emit_channels(run, step)
    elif keeps == _Kept(False, False, False, False):
        emit_total(run, step, Var(0), ("a",), 1.0)
    else:
        _emit_kept(run, step, keeps)


def emit_total(run: RunBuilder, step: Step, term: Expr, names: tuple[str, ...], factor: float) -> None:
    """One number: `factor` times the sum of a term over everything."""
    lanes, views = run.target.lanes, dict(zip(names, step.inputs, strict=True))
    walk = Walk.over(views, lanes)
    channels = canonical(step.input_types[0].shape)[0]
    masked = channels % lanes != 0 and not keeps_zero(term, [False] * len(names))
    pointers: dict[str, Any] = views | {"partial": step.scratch}
    key = digest((str(term), names, masked))
    integers = walk.arguments() | {"channels": channels}

    def terms(k: Kernel) -> None:
        bound = walk.bound(k)

        def item(cb: Index, chunk: Index) -> None:
            def value(rows: dict[str, Value], w: Index) -> list[Value]:
                operands = {i: bound.space.load(k, rows, name, w) for i, name in enumerate(names)}
                result = emit_expression(k, term, operands)
                return [k.keep_lanes(result, k.sub(k.arg("channels"), k.mul(cb, lanes))) if masked else result]

            bound.leave(k, k.arg("partial"), cb, chunk, bound.sum(k, cb, chunk, value, 1))

        bound.each(k, item)

    def total(k: Kernel) -> None:
        with k.when(k.compare("==", k.arg("thread"), 0)):
            (vector,) = sum_vectors(k, k.arg("partial"), 0, k.arg("items"), 1)
            store_number(k, k.b.fmul(k.sum_lanes(vector), k.f(factor)), k.arg("y"))

    run.call(f"sum_{key}", terms, pointers, integers)
    run.barrier()
    results: dict[str, Any] = {"partial": step.scratch, "y": step.outputs[0]}
    run.call(f"sum_total_{digest(factor)}", total, results, {"items": walk.items})


def store_number(k: Kernel, number: Value, pointer: Value) -> None:
    """A value of rank 0: the number in lane 0, zero pad channels."""
    k.store(k.v(0.0), pointer)
    k.store(number, pointer)


def _emit_channels(run: RunBuilder, step: Step) -> None:
    """[C] from batched [C, ...]: the gradient of everything that is one number a channel."""
    walk = Walk.over({"x": step.inputs[0]}, run.target.lanes)
    pointers: dict[str, Any] = {"x": step.inputs[0], "partial": step.scratch, "y": step.outputs[0]}
    stride = own_access(step.outputs[0], run.target.lanes).cb

    def sums(k: Kernel) -> None:
        bound = walk.bound(k)

        def item(cb: Index, chunk: Index) -> None:
            parts = bound.sum(k, cb, chunk, lambda rows, w: [bound.space.load(k, rows, "x", w)], 1)
            bound.leave(k, k.arg("partial"), cb, chunk, parts)

        bound.each(k, item)

    def totals(k: Kernel) -> None:
        begin, end = k.share(k.arg("blocks"))
        with k.loop(begin, end) as cb:
            (vector,) = sum_vectors(k, k.arg("partial"), k.mul(cb, k.arg("chunks")), k.arg("chunks"), 1)
            k.store(vector, k.arg("y"), k.mul(cb, k.arg("stride")))

    run.call("sum_channels", sums, pointers, walk.arguments())
    run.barrier()
    totals_of = {"blocks": walk.space.blocks, "chunks": walk.chunks, "stride": stride}
    run.call("sum_channels_total", totals, {"partial": pointers["partial"], "y": pointers["y"]}, totals_of)


class _Kept(tuple[bool, bool, bool, bool]):
    """Which of samples, channels, rows and columns the result keeps."""

    def __new__(cls, n: bool, c: bool, h: bool, w: bool) -> _Kept:
        return super().__new__(cls, (n, c, h, w))

    @staticmethod
    def of(step: Step) -> _Kept:
        source, result = step.input_types[0], step.output_types[0]
        shape = result.shape + (1,) * (len(source.shape) - len(result.shape))
        same = [a == b and b != 1 for a, b in zip(shape, source.shape, strict=True)]
        rest = same[2:]
        if len(set(rest) - {None}) > 1 and any(source.shape[2 + i] != 1 and not kept for i, kept in enumerate(rest)):
            raise Unsupported("sum_to", "cpu", f"axes {source.shape[2:]} cannot be summed to {shape[2:]} in part", ())
        channels = bool(same[:1] and same[0])
        if len(source.shape) == 2:
            return _Kept(result.batched, channels, False, same[1])
        return _Kept(result.batched, channels, len(same) > 1 and same[1], any(rest))


def _emit_kept(run: RunBuilder, step: Step, keeps: _Kept) -> None:
    """Any other choice of axes: each place of the result is summed by one thread."""
    lanes = run.target.lanes
    layout = blocked(step.inputs[0], lanes)
    x = own_access(step.inputs[0], lanes)
    y = broadcast_access(step.outputs[0], step.output_types[0], step.input_types[0], lanes)
    extents = (layout.batch, layout.blocks, layout.height, layout.width)
    key = f"sum_to_{digest((x, y, extents, keeps))}"
    run.call(key, lambda k: _sum_kept(k, x, y, extents, keeps), {"x": step.inputs[0], "y": step.outputs[0]})


def _sum_kept(k: Kernel, x: Access, y: Access, extents: tuple[int, ...], keeps: _Kept) -> None:
    outer = [extent if kept else 1 for extent, kept in zip(extents, keeps, strict=True)]
    inner = [1 if kept else extent for extent, kept in zip(extents, keeps, strict=True)]
    begin, end = k.share(outer[0] * outer[1] * outer[2] * outer[3])
    with k.loop(begin, end) as item:
        place = k.split(item, *outer[1:])
        start = x.offset(k, *place)
        vector = _sum_inner(k, x, start, inner, 0, (), k.v(0.0))
        if not keeps[1]:
            zero = k.v(0.0)
            vector = k.b.insert_element(zero, k.sum_lanes(vector), k.i(0))
        k.store(vector, k.arg("y"), y.offset(k, *place))


def _sum_inner(
    k: Kernel, x: Access, start: Index, inner: list[int], axis: int, place: tuple[Index, ...], total: Value
) -> Value:
    """`total` plus everything at the summed places, the last axis as a sum of its own."""
    if axis == len(inner):
        return k.b.fadd(total, k.load(k.arg("x"), k.add(start, x.offset(k, *place))))
    last = axis == len(inner) - 1
    with k.carried_loop(0, inner[axis], [k.v(0.0) if last else total]) as loop:
        loop.carry([_sum_inner(k, x, start, inner, axis + 1, (*place, loop.index), loop.carried[0])])
    return k.b.fadd(total, loop.results[0]) if last else loop.results[0]
