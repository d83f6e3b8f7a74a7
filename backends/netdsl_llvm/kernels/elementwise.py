"""Elementwise ops: any scalar expression over blocked operands, or over equal packed weights."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir.scalar import Expr, variables
from netdsl.plan.layout import Blocked, canonical
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder, call_of
from netdsl_llvm.emit import Index, Kernel
from netdsl_llvm.kernels.access import Access, broadcast_access, own_access
from netdsl_llvm.kernels.expression import digest, emit_expression, keeps_zero
from netdsl_llvm.registry import scalar_expression

CHUNK = 128


@dataclass(frozen=True)
class Space:
    """The places of a result, and how its operands (the result itself last) are reached from them."""

    batch: int
    blocks: int
    height: int
    width: int
    accesses: tuple[Access, ...]

    def collapsed(self, *, channels: bool) -> Space:
        """Fewer, longer rows where all operands lie contiguously; over channel blocks and samples if `channels`."""
        space = self
        if self.height == 1 or all(a.h == a.w * self.width for a in self.accesses):
            joined = tuple(Access(a.n, a.cb, 0, a.w, a.splat) for a in self.accesses)
            space = Space(self.batch, self.blocks, 1, self.height * self.width, joined)
        if not channels or space.height != 1:
            return space
        if space.blocks == 1 or all(a.cb == a.w * space.width for a in space.accesses):
            joined = tuple(Access(a.n, 0, 0, a.w, a.splat) for a in space.accesses)
            space = Space(space.batch, 1, 1, space.blocks * space.width, joined)
        if space.blocks == 1 and (space.batch == 1 or all(a.n == a.w * space.width for a in space.accesses)):
            joined = tuple(Access(0, 0, 0, a.w, a.splat) for a in space.accesses)
            space = Space(1, 1, 1, space.batch * space.width, joined)
        return space


def emit(run: RunBuilder, step: Step) -> None:
    """An op whose OpDef gives a scalar expression."""
    expr = scalar_expression(step.op, call_of(step))
    assert expr is not None
    emit_map(run, step, expr)


def emit_map(run: RunBuilder, step: Step, expr: Expr) -> None:
    """Result 0 = `expr` of the operands."""
    if isinstance(step.outputs[0].layout, Blocked):
        space, channels = _blocked_space(run, step), canonical(step.output_types[0].shape)[0]
    else:
        space, channels = _flat_space(run, step), run.target.lanes
    splats = any(access.splat for access in space.accesses)
    partial = channels % run.target.lanes != 0
    masks = partial and (splats or not keeps_zero(expr, len(step.inputs)))
    _call(run, step, expr, space.collapsed(channels=not masks), channels if masks else None)


def _blocked_space(run: RunBuilder, step: Step) -> Space:
    lanes, result = run.target.lanes, step.output_types[0]
    operands = [broadcast_access(v, t, result, lanes) for v, t in zip(step.inputs, step.input_types, strict=True)]
    layout = step.outputs[0].layout
    assert isinstance(layout, Blocked)
    accesses = (*operands, own_access(step.outputs[0], lanes))
    return Space(layout.batch, layout.blocks, layout.height, layout.width, accesses)


def _flat_space(run: RunBuilder, step: Step) -> Space:
    """Packed operands of one layout and scalars: one row of vectors (and a partial one, see `_call`)."""
    lanes, layout = run.target.lanes, step.outputs[0].layout
    assert layout is not None
    if layout.size % lanes:
        raise ValueError(f"a packed weight of {layout.size} elements is not whole vectors")
    row = Access(0, 0, 0, lanes)
    scalar = Access(0, 0, 0, 0, splat=True)
    packed = [not isinstance(view.layout, Blocked) for view in step.inputs]
    accesses = (*(row if is_packed else scalar for is_packed in packed), row)
    return Space(1, 1, 1, layout.size // lanes, accesses)


def _call(run: RunBuilder, step: Step, expr: Expr, space: Space, channels: int | None) -> None:
    used = sorted(variables(expr))
    shape = tuple((index, space.accesses[index].mode, space.accesses[index].w) for index in used)
    key = f"map_{digest((str(expr), shape, channels is None))}"
    integers: dict[str, Index] = {
        "batch": space.batch, "blocks": space.blocks, "height": space.height, "width": space.width,
    }  # fmt: skip
    if channels is not None:
        integers["channels"] = channels
    for name, access in [(f"x{i}", space.accesses[i]) for i in used] + [("y", space.accesses[-1])]:
        integers |= {f"{name}_n": access.n, f"{name}_cb": access.cb, f"{name}_h": access.h}
    pointers = {f"x{i}": step.inputs[i] for i in used} | {"y": step.outputs[0]}
    modes = {f"x{i}": (w, mode == "s") for i, mode, w in shape}
    run.call(key, lambda k: _build(k, expr, used, modes, channels is not None), pointers, integers)


def _build(k: Kernel, expr: Expr, used: list[int], modes: dict[str, tuple[int, bool]], masked: bool) -> None:
    """Work items are pieces of rows; inside, one vector a pixel."""
    width = k.arg("width")
    pieces = k.div(k.add(width, CHUNK - 1), CHUNK)
    begin, end = k.share(k.mul(k.arg("batch"), k.arg("blocks"), k.arg("height"), pieces))
    with k.loop(begin, end) as item:
        n, cb, h, piece = k.split(item, k.arg("blocks"), k.arg("height"), pieces)
        starts = {}
        for name, (_, _) in (modes | {"y": (0, False)}).items():
            access = Access(k.arg(f"{name}_n"), k.arg(f"{name}_cb"), k.arg(f"{name}_h"), 0)
            starts[name] = k.at(k.arg(name), access.offset(k, n, cb, h, 0))
        limit = k.sub(k.arg("channels"), k.mul(cb, k.lanes)) if masked else None
        first = k.mul(piece, CHUNK)
        with k.loop(first, k.min(k.add(first, CHUNK), width)) as w:
            operands = {}
            for index in used:
                stride, splat = modes[f"x{index}"]
                access = Access(0, 0, 0, stride, splat)
                operands[index] = access.load(k, starts[f"x{index}"], k.mul(w, stride))
            value = emit_expression(k, expr, operands or {-1: k.v(0.0)})
            if limit is not None:
                value = k.keep_lanes(value, limit)
            k.store(value, starts["y"], k.mul(w, k.lanes), align=4 * k.lanes)
