"""Dropout masks from counters, bit for bit those of `netdsl.ops.dropout`."""

from __future__ import annotations

from netdsl.ops.dropout import GOLDEN, keep_scale, keep_threshold
from netdsl.plan.plan import Step
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import I32, Index, Kernel, Value
from netdsl_llvm.kernels.access import blocked, own_access
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.space import Space


def emit(run: RunBuilder, step: Step) -> None:
    """(x, step, seed) -> x / (1 - p) where an element is kept, 0 elsewhere."""
    lanes = run.target.lanes
    layout = blocked(step.outputs[0], lanes)
    accesses = {"x": own_access(step.inputs[0], lanes), "y": own_access(step.outputs[0], lanes)}
    space = Space(layout.batch, layout.blocks, layout.height, layout.width, accesses)
    views = dict(zip(("x", "step", "seed", "y"), (*step.inputs, *step.outputs), strict=True))
    p, salt = float(step.attrs["p"]), int(step.attrs["salt"])
    key = f"dropout_{digest((p, salt))}"
    before = int(step.attrs["first"]) * step.output_types[0].elements & 0xFFFFFFFF
    integers = space.arguments() | {"channels": layout.channels, "before": before}
    run.call(key, lambda k: _build(k, space.bound(k), p, salt), views, integers)


def _build(k: Kernel, space: Space, p: float, salt: int) -> None:
    b = k.b
    words = [I32(salt - (1 << 32) if salt >= 1 << 31 else salt)]
    words += [b.load(k.arg(name), typ=I32, align=4) for name in ("step", "seed")]
    state: Value = k.iv(0)
    for word in words:
        state = _mix(k, b.add(b.xor(state, k.splat(word)), k.iv(GOLDEN)))
    plane = k.mul(space.height, space.width)
    lanes = b.mul(k.iota(), k.splat(b.trunc(plane, I32)))
    begin, end = k.share(k.mul(space.batch, space.blocks, space.height))
    with k.loop(begin, end) as item:
        n, cb, h = k.split(item, space.blocks, space.height)
        rows = space.rows(k, n, cb, h)
        channel = k.add(k.mul(n, k.arg("channels")), k.mul(cb, k.lanes))
        first = k.add(k.arg("before"), k.mul(channel, plane), k.mul(h, space.width))

        with k.loop(0, space.width) as w:
            kept = _kept(k, state, _indices(k, lanes, k.add(first, w)), keep_threshold(p))
            scaled = b.fmul(space.load(k, rows, "x", w), k.v(keep_scale(p)))
            space.store(k, rows, "y", w, b.select(kept, scaled, k.v(0.0)))


def _indices(k: Kernel, lanes: Value, first: Index) -> Value:
    """Each lane's place in row-major [N, C, H, W], modulo 2^32."""
    return k.b.add(lanes, k.splat(k.b.trunc(k.i(first), I32)))


def _kept(k: Kernel, state: Value, index: Value, threshold: int) -> Value:
    hashed = _mix(k, k.b.add(_mix(k, k.b.xor(index, state)), state))
    return k.b.icmp_unsigned(">=", k.b.lshr(hashed, k.iv(8)), k.iv(threshold))


def _mix(k: Kernel, h: Value) -> Value:
    """The finalizer of MurmurHash3."""
    b = k.b
    h = b.xor(h, b.lshr(h, k.iv(16)))
    h = b.mul(h, k.iv(0x85EBCA6B))
    h = b.xor(h, b.lshr(h, k.iv(13)))
    h = b.mul(h, k.iv(0xC2B2AE35))
    return b.xor(h, b.lshr(h, k.iv(16)))
