"""Batch normalization over the batch's own statistics, and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.plan.layout import canonical
from netdsl.plan.plan import Step
from netdsl_llvm import vmath
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import FLOAT, Index, Kernel, Value
from netdsl_llvm.kernels.expression import Epilogue, digest
from netdsl_llvm.kernels.walk import Walk

Item = Callable[[Index, Index], None]
Phase = Callable[[Kernel, Walk], Item]
"""What is done for a channel block and a chunk of its rows."""

_FORWARD = ("y", "mean", "inverse", "new_mean", "new_var")


def emit_train(run: RunBuilder, step: Step) -> None:
    """(x, weight, bias, running mean, running var) -> (y, mean, inverse std, running mean', running var')."""
    assert step.scratch is not None
    lanes, eps, momentum = run.target.lanes, float(step.attrs["eps"]), float(step.attrs["momentum"])
    operands = dict(zip(("x", "weight", "bias", "old_mean", "old_var"), step.inputs, strict=False))
    epilogue = Epilogue.of(step, lanes)
    results = dict(zip(_FORWARD, step.outputs, strict=True))
    extra = {f"e{index}": access for index, access in enumerate(epilogue.accesses)}
    walk = Walk.over({"x": step.inputs[0], "y": step.outputs[0]}, lanes, extra)
    integers = walk.arguments() | {"channels": canonical(step.input_types[0].shape)[0]}
    means, squares = step.scratch, run.k.at(run.pointer(step.scratch), walk.items * lanes)
    sums: dict[str, Any] = {"x": operands["x"], "y": results["y"], "means": means, "squares": squares}
    sums |= epilogue.pointers
    modes, full = digest(walk.space.modes), digest((walk.space.modes, epilogue.key, eps, momentum))
    pointers = sums | operands | results

    def normalize(k: Kernel, walk: Walk) -> Item:
        return _normalize(k, walk, epilogue, eps, momentum)

    if walk.divides(run.plan.threads):
        run.call(f"bn_{full}", _by_block(walk, _statistics, normalize), pointers, integers)
        return
    run.call(f"bn_statistics_{modes}", _each(walk, _statistics), sums, integers)
    run.barrier()
    run.call(f"bn_normalize_{full}", _each(walk, normalize), pointers, integers)


def emit_apply(run: RunBuilder, step: Step) -> None:
    """(x, weight, bias, mean, inverse std) -> y."""
    operands = dict(zip(("x", "weight", "bias", "mean", "inverse"), step.inputs, strict=False))
    epilogue = Epilogue.of(step, run.target.lanes)
    extra = {f"e{index}": access for index, access in enumerate(epilogue.accesses)}
    walk = Walk.over({"x": step.inputs[0], "y": step.outputs[0]}, run.target.lanes, extra)
    key = digest((walk.space.modes, epilogue.key))
    pointers = {**operands, "y": step.outputs[0], **epilogue.pointers}
    run.call(f"bn_apply_{key}", _each(walk, lambda k, bound: _apply(k, bound, epilogue)), pointers, walk.arguments())


def emit_grad(run: RunBuilder, step: Step) -> None:
    """(g, x, weight, mean, inverse std) -> (dx, dweight, dbias)."""
    assert step.scratch is not None
    operands = dict(zip(("g", "x", "weight", "mean", "inverse"), step.inputs, strict=False))
    results = dict(zip(("dx", "dweight", "dbias"), step.outputs, strict=True))
    epilogue = Epilogue.of(step, run.target.lanes)
    extra = {f"e{index}": access for index, access in enumerate(epilogue.accesses)}
    walk = Walk.over({"g": step.inputs[0], "x": step.inputs[1], "dx": step.outputs[0]}, run.target.lanes, extra)
    sums: dict[str, Any] = {**operands, "dx": results["dx"], "partial": step.scratch, **epilogue.pointers}
    modes, full = digest(walk.space.modes), digest((walk.space.modes, epilogue.key))

    def grad(k: Kernel, walk: Walk) -> Item:
        return _grad(k, walk, epilogue)

    if walk.divides(run.plan.threads):
        run.call(f"bn_grad_whole_{full}", _by_block(walk, _grad_sums, grad), sums | results, walk.arguments())
        return
    run.call(f"bn_grad_sums_{modes}", _each(walk, _grad_sums), sums, walk.arguments())
    run.barrier()
    run.call(f"bn_grad_{full}", _each(walk, grad), sums | results, walk.arguments())


def _each(walk: Walk, phase: Phase) -> Callable[[Kernel], None]:
    """A kernel of one phase, which needs all of the one before."""

    def build(k: Kernel) -> None:
        bound = walk.bound(k)
        bound.each(k, phase(k, bound))

    return build


def _by_block(walk: Walk, *phases: Phase) -> Callable[[Kernel], None]:
    """A kernel of all phases, a channel block at a time."""

    def build(k: Kernel) -> None:
        bound = walk.bound(k)
        bound.by_block(k, *(phase(k, bound) for phase in phases))

    return build


def _count(k: Kernel, walk: Walk) -> Value:
    """Elements of a channel, as a vector."""
    space = walk.space
    return _number(k, k.mul(space.batch, space.height, space.width))


def _number(k: Kernel, x: Index) -> Value:
    return k.splat(k.b.sitofp(k.i(x), FLOAT))


def _statistics(k: Kernel, walk: Walk) -> Item:
    """Each chunk's sum, and squared distances from its mean: as sums of squares less a squared mean they would cancel.

    The chunk is still near when it is read the second time. `_squares` joins the chunks of a block.
    """

    def item(cb: Index, chunk: Index) -> None:
        [total] = walk.sum(k, cb, chunk, lambda rows, w: [walk.space.load(k, rows, "x", w)], 1)
        mean = k.b.fdiv(total, _chunk_count(k, walk, chunk))

        def terms(rows: dict[str, Value], w: Index) -> list[Value]:
            distance = k.b.fsub(walk.space.load(k, rows, "x", w), mean)
            return [k.b.fmul(distance, distance)]

        walk.leave(k, k.arg("means"), cb, chunk, [total])
        walk.leave(k, k.arg("squares"), cb, chunk, walk.sum(k, cb, chunk, terms, 1))

    return item


def _chunk_count(k: Kernel, walk: Walk, chunk: Index) -> Value:
    """Elements of a channel in a chunk, as a vector."""
    first, end = walk.limits(k, chunk)
    return _number(k, k.mul(k.sub(end, first), walk.space.width))


def _mean(k: Kernel, walk: Walk, cb: Index) -> Value:
    return k.b.fdiv(walk.total(k, k.arg("means"), cb, 1)[0], _count(k, walk))


def _squares(k: Kernel, walk: Walk, cb: Index, mean: Value) -> Value:
    """Squared distances from the mean of all: those from the chunks' means, and of the chunks' means themselves.

    Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.
    """
    with k.carried_loop(0, walk.chunks, [k.v(0.0)]) as loop:
        place = k.mul(k.add(k.mul(cb, walk.chunks), loop.index), k.lanes)
        total, own = (k.load(k.arg(name), place, align=4 * k.lanes) for name in ("means", "squares"))
        count = _chunk_count(k, walk, loop.index)
        away = k.b.fsub(k.b.fdiv(total, count), mean)
        loop.carry([k.b.fadd(loop.carried[0], k.fma(k.b.fmul(away, away), count, own))])
    return loop.results[0]


def _normalize(k: Kernel, walk: Walk, epilogue: Epilogue, eps: float, momentum: float) -> Item:
    def item(cb: Index, chunk: Index) -> None:
        lane = k.mul(cb, k.lanes)
        mean = _mean(k, walk, cb)
        squares = _squares(k, walk, cb, mean)
        var = k.b.fdiv(squares, _count(k, walk))
        inverse = k.b.fdiv(k.v(1.0), vmath.sqrt(k, k.b.fadd(var, k.v(eps))))
        # in pad channels it would be 1 / sqrt(eps), and 0 * inf without an eps
        inverse = k.keep_lanes(inverse, k.sub(k.arg("channels"), lane))
        with k.when(k.compare("==", chunk, 0)):
            k.store(mean, k.arg("mean"), lane)
            k.store(inverse, k.arg("inverse"), lane)
            _move_running(k, walk, lane, mean, squares, momentum)
        _store_normalized(k, walk, epilogue, cb, chunk, mean, inverse)

    return item


def _apply(k: Kernel, walk: Walk, epilogue: Epilogue) -> Item:
    def item(cb: Index, chunk: Index) -> None:
        lane = k.mul(cb, k.lanes)
        mean, inverse = k.load(k.arg("mean"), lane), k.load(k.arg("inverse"), lane)
        _store_normalized(k, walk, epilogue, cb, chunk, mean, inverse)

    return item


def _store_normalized(
    k: Kernel, walk: Walk, epilogue: Epilogue, cb: Index, chunk: Index, mean: Value, inverse: Value
) -> None:
    """The result of ``bn_train``, and of ``bn_apply`` with the same bits."""
    lane = k.mul(cb, k.lanes)
    scale = k.b.fmul(inverse, k.load(k.arg("weight"), lane))
    bias = k.load(k.arg("bias"), lane)

    def pixel(rows: dict[str, Value], w: Index) -> None:
        centred = k.b.fsub(walk.space.load(k, rows, "x", w), mean)
        value = _finished(k, walk, epilogue, cb, k.fma(centred, scale, bias), rows, w)
        walk.space.store(k, rows, "y", w, value)

    walk.pixels(k, cb, chunk, pixel)


def _finished(
    k: Kernel, walk: Walk, epilogue: Epilogue, cb: Index, value: Value, rows: dict[str, Value], w: Index
) -> Value:
    """What is stored at pixel w of these rows."""
    others = [walk.space.load(k, rows, f"e{index}", w) for index in range(len(epilogue.accesses))]
    return epilogue.combine(k, value, others, cb)


def _move_running(k: Kernel, walk: Walk, lane: Index, mean: Value, squares: Value, momentum: float) -> None:
    space = walk.space
    others = k.max(k.sub(k.mul(space.batch, space.height, space.width), 1), 1)
    unbiased = k.b.fdiv(squares, _number(k, others))
    for old, new, batch in (("old_mean", "new_mean", mean), ("old_var", "new_var", unbiased)):
        kept = k.b.fmul(k.load(k.arg(old), lane), k.v(1.0 - momentum))
        k.store(k.fma(batch, k.v(momentum), kept), k.arg(new), lane)


def _normalized(k: Kernel, walk: Walk, cb: Index, rows: dict[str, Value], w: Index) -> Value:
    lane = k.mul(cb, k.lanes)
    mean, inverse = k.load(k.arg("mean"), lane), k.load(k.arg("inverse"), lane)
    return k.b.fmul(k.b.fsub(walk.space.load(k, rows, "x", w), mean), inverse)


def _grad_sums(k: Kernel, walk: Walk) -> Item:
    def item(cb: Index, chunk: Index) -> None:
        def terms(rows: dict[str, Value], w: Index) -> list[Value]:
            g = walk.space.load(k, rows, "g", w)
            return [g, k.b.fmul(g, _normalized(k, walk, cb, rows, w))]

        walk.leave(k, k.arg("partial"), cb, chunk, walk.sum(k, cb, chunk, terms, 2))

    return item


def _grad(k: Kernel, walk: Walk, epilogue: Epilogue) -> Item:
    def item(cb: Index, chunk: Index) -> None:
        lane = k.mul(cb, k.lanes)
        dbias, dweight = walk.total(k, k.arg("partial"), cb, 2)
        with k.when(k.compare("==", chunk, 0)):
            k.store(dweight, k.arg("dweight"), lane)
            k.store(dbias, k.arg("dbias"), lane)
        count = _count(k, walk)
        share, slope = k.b.fdiv(dbias, count), k.b.fdiv(dweight, count)
        scale = k.b.fmul(k.load(k.arg("weight"), lane), k.load(k.arg("inverse"), lane))

        def pixel(rows: dict[str, Value], w: Index) -> None:
            z = _normalized(k, walk, cb, rows, w)
            centred = k.b.fsub(k.b.fsub(walk.space.load(k, rows, "g", w), share), k.b.fmul(z, slope))
            value = _finished(k, walk, epilogue, cb, k.b.fmul(scale, centred), rows, w)
            walk.space.store(k, rows, "dx", w, value)

        walk.pixels(k, cb, chunk, pixel)

    return item
