"""Ops that move elements: crop, pad, identity, and copies of channels where blocks don't meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netdsl.ir.scalar import Var
from netdsl.plan.plan import Step, View
from netdsl_llvm.codegen import RunBuilder
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import blocked, own_access
from netdsl_llvm.kernels.elementwise import emit_map
from netdsl_llvm.kernels.expression import digest
from netdsl_llvm.kernels.halo import emit_zero_halo
from netdsl_llvm.kernels.space import Space


def emit_copy(run: RunBuilder, step: Step) -> None:
    """y = x."""
    emit_map(run, step, [Var(0)])


def emit_crop(run: RunBuilder, step: Step) -> None:
    """A map without some rows and columns at its borders."""
    part = _part(step.inputs[0], step.attrs["by"], run.target.lanes)
    emit_map(run, replace(step, inputs=(part,), input_types=step.output_types), [Var(0)])


def emit_pad(run: RunBuilder, step: Step) -> None:
    """A map with zeros around."""
    by, lanes = step.attrs["by"], run.target.lanes
    part = _part(step.outputs[0], by, lanes)
    kinds = step.input_types[:1]
    emit_map(
        run, replace(step, inputs=step.inputs[:1], outputs=(part,), input_types=kinds, output_types=kinds), [Var(0)]
    )
    layout = blocked(part, lanes)
    borders = tuple(own + more for own, more in zip(layout.halo, by, strict=True))
    emit_zero_halo(run, part, replace(layout, halo=(borders[0], borders[1], borders[2], borders[3])))


def _part(view: View, by: tuple[int, int, int, int], lanes: int) -> View:
    """What is left of a view without `by` rows and columns at its borders."""
    layout = blocked(view, lanes)
    top, bottom, left, right = by
    inner = replace(layout, height=layout.height - top - bottom, width=layout.width - left - right)
    return replace(view, offset=view.offset + top * layout.row_stride + left * layout.block, layout=inner)


def emit_concat(run: RunBuilder, step: Step) -> None:
    """Parts that don't start at whole blocks; the last one fills the pad channels."""
    start = 0
    for index, (view, kind) in enumerate(zip(step.inputs, step.input_types, strict=True)):
        channels = kind.shape[0]
        last = index == len(step.inputs) - 1
        whole = blocked(step.outputs[0], run.target.lanes).blocks * run.target.lanes
        stop = whole if last else start + channels
        _copy(run, view, step.outputs[0], Channels(0, start, channels, start, stop))
        start += channels


def emit_slice(run: RunBuilder, step: Step) -> None:
    """Channels from the middle of a block on."""
    start, stop = step.attrs["start"], step.attrs["stop"]
    whole = blocked(step.outputs[0], run.target.lanes).blocks * run.target.lanes
    _copy(run, step.inputs[0], step.outputs[0], Channels(start, 0, stop - start, 0, whole))


def emit_pad_channels(run: RunBuilder, step: Step) -> None:
    """Channels of zeros around."""
    whole = blocked(step.outputs[0], run.target.lanes).blocks * run.target.lanes
    channels = step.input_types[0].shape[0]
    _copy(run, step.inputs[0], step.outputs[0], Channels(0, step.attrs["before"], channels, 0, whole))


@dataclass(frozen=True)
class Channels:
    """`count` channels from `source` on become those from `result` on; channels `first` to `stop` are written."""

    source: int
    result: int
    count: int
    first: int
    stop: int


def _copy(run: RunBuilder, x: View, y: View, channels: Channels) -> None:
    lanes = run.target.lanes
    layout = blocked(y, lanes)
    accesses = {"x": own_access(x, lanes), "y": own_access(y, lanes)}
    space = Space(layout.batch, layout.blocks, layout.height, layout.width, accesses).joined_rows()
    blocks = blocked(x, lanes).blocks
    key = f"channels_{digest((channels, blocks))}"
    run.call(key, lambda k: _build(k, space.bound(k), channels, blocks), {"x": x, "y": y}, space.arguments())


def _build(k: Kernel, space: Space, channels: Channels, blocks: int) -> None:
    """Each block of the result is shuffled from two neighbouring blocks of the operand."""
    lanes = k.lanes
    shift, turn = divmod(channels.source - channels.result, lanes)
    first, stop = channels.first // lanes, -(-channels.stop // lanes)
    begin, end = k.share(k.mul(space.batch, stop - first, space.height))
    with k.loop(begin, end) as item:
        n, index, h = k.split(item, stop - first, space.height)
        cb = k.add(index, first)
        rows = space.rows(k, n, 0, h)
        data = _lanes_between(k, cb, channels.result, channels.result + channels.count)
        written = _lanes_between(k, cb, channels.first, channels.stop)
        y = k.at(rows["y"], k.mul(cb, space.accesses["y"].cb))
        sources = [k.add(cb, shift + step) for step in (0, 1)]
        with k.loop(0, space.width) as w:
            pair = [_block(k, space, rows["x"], source, blocks, w) for source in sources]
            value = k.shuffle(pair[0], pair[1], range(turn, turn + lanes))
            value = k.b.select(data, value, k.v(0.0))
            k.store_masked(value, y, k.mul(w, space.accesses["y"].w), written)


def _block(k: Kernel, space: Space, row: Value, cb: Index, blocks: int, w: Index) -> Value:
    """A block of the operand at pixel w; zeros beyond its blocks, whose memory is not touched."""
    access = space.accesses["x"]
    inside = k.both(k.compare(">=", cb, 0), k.compare("<", cb, blocks))
    count = k.b.select(inside, k.i(k.lanes), k.i(0))
    return k.load_first(row, k.add(k.mul(cb, access.cb), k.mul(w, access.w)), count)


def _lanes_between(k: Kernel, cb: Index, first: int, stop: int) -> Value:
    """The lanes of block cb that are channels `first` to `stop`."""
    start = k.mul(cb, k.lanes)
    below_stop = k.lane_mask(k.i(k.sub(stop, start)))
    below_first = k.lane_mask(k.i(k.sub(first, start)))
    return k.b.and_(below_stop, k.b.not_(below_first))
