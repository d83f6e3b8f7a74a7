"""Elementwise ops: any scalar expressions over blocked operands, or over equal packed weights."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.ir.scalar import Const, Expr, Var, variables, with_operands
from netdsl.ops.optimizer import find_optimizer
from netdsl.plan.layout import Blocked, canonical
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.emit import Kernel
from netdsl_llvm.kernels.access import Access, broadcast_access, own_access
from netdsl_llvm.kernels.expression import digest, emit_expression, keeps_zero
from netdsl_llvm.kernels.space import Space
from netdsl_llvm.registry import scalar_expression

CHUNK = 128


def emit(run: RunBuilder, step: Step) -> None:
    """An op whose OpDef gives a scalar expression."""
    expr = scalar_expression(step.op, call_of(step))
    assert expr is not None
    emit_map(run, step, [expr])


def emit_mean_grad(run: RunBuilder, step: Step) -> None:
    """(g, a, b): `g * expr(a, b) / count`, count all elements of all samples."""
    layout = step.outputs[0].layout
    assert isinstance(layout, Blocked)
    count = layout.batch * step.output_types[0].elements
    term = with_operands(step.attrs["expr"], [Var(1), Var(2)])
    emit_map(run, step, [(Var(0) * Const(1.0 / count)) * term])


def emit_optimizer(run: RunBuilder, step: Step) -> None:
    """(w, g, states, numbers) -> (w', states') in one pass over the memory; see the op."""
    op = find_optimizer(step.op)
    emit_map(run, step, op.expressions(step.attrs, len(step.inputs)))


def emit_map(run: RunBuilder, step: Step, results: Sequence[Expr]) -> None:
    """Result i = `results[i]` of the operands; operands may be overwritten, for all are read first."""
    space = _blocked_space(run, step) if isinstance(step.outputs[0].layout, Blocked) else _flat_space(run, step)
    channels = canonical(step.output_types[0].shape)[0]
    splats = [space.accesses[f"x{index}"].splat for index in range(len(step.inputs))]
    partial = isinstance(step.outputs[0].layout, Blocked) and channels % run.target.lanes != 0
    masked = partial and not all(keeps_zero(expr, splats) for expr in results)
    used = sorted(set().union(*(variables(expr) for expr in results)))
    names = [f"x{index}" for index in used] + [f"y{index}" for index in range(len(results))]
    space = Space(space.batch, space.blocks, space.height, space.width, {name: space.accesses[name] for name in names})
    space = space.joined_rows() if masked else space.joined_maps()
    views = {f"x{i}": view for i, view in enumerate(step.inputs)} | {f"y{i}": v for i, v in enumerate(step.outputs)}
    key = f"map_{digest((list(map(str, results)), space.modes, masked))}"
    integers = space.arguments() | ({"channels": channels} if masked else {})
    run.call(key, lambda k: _build(k, space.bound(k), results, used, masked), {n: views[n] for n in names}, integers)


def _blocked_space(run: RunBuilder, step: Step) -> Space:
    lanes, result = run.target.lanes, step.output_types[0]
    accesses = {f"y{index}": own_access(view, lanes) for index, view in enumerate(step.outputs)}
    for index, (view, kind) in enumerate(zip(step.inputs, step.input_types, strict=True)):
        accesses[f"x{index}"] = broadcast_access(view, kind, result, lanes)
    layout = step.outputs[0].layout
    assert isinstance(layout, Blocked)
    return Space(layout.batch, layout.blocks, layout.height, layout.width, accesses)


def _flat_space(run: RunBuilder, step: Step) -> Space:
    """Packed operands of one layout and scalars, as one row of vectors."""
    lanes, layout = run.target.lanes, step.outputs[0].layout
    assert layout is not None
    if layout.size % lanes:
        raise ValueError(f"a packed weight of {layout.size} elements is not whole vectors")
    row, scalar = Access(0, 0, 0, lanes), Access(0, 0, 0, 0, splat=True)
    accesses = {f"y{index}": row for index in range(len(step.outputs))}
    for index, view in enumerate(step.inputs):
        accesses[f"x{index}"] = scalar if isinstance(view.layout, Blocked) else row
    return Space(1, 1, 1, layout.size // lanes, accesses)


def _build(k: Kernel, space: Space, results: Sequence[Expr], used: list[int], masked: bool) -> None:
    """Work items are pieces of rows; inside, one vector a pixel."""
    pieces = k.div(k.add(space.width, CHUNK - 1), CHUNK)
    begin, end = k.share(k.mul(space.batch, space.blocks, space.height, pieces))
    with k.loop(begin, end) as item:
        n, cb, h, piece = k.split(item, space.blocks, space.height, pieces)
        rows = space.rows(k, n, cb, h)
        first = k.mul(piece, CHUNK)
        with k.loop(first, k.min(k.add(first, CHUNK), space.width)) as w:
            operands = {index: space.load(k, rows, f"x{index}", w) for index in used}
            values = [emit_expression(k, expr, operands or {-1: k.v(0.0)}) for expr in results]
            if masked:
                limit = k.sub(k.arg("channels"), k.mul(cb, k.lanes))
                values = [k.keep_lanes(value, limit) for value in values]
            for index, value in enumerate(values):
                space.store(k, rows, f"y{index}", w, value)
