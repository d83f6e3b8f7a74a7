"""Which packed layout each weighted op wants its filter in, or writes it in. Decided from shapes alone.

The filter of a layer and its gradient have one layout, so that the optimizer is one pass over equal buffers. Only the
gradient of a filter of small groups is computed in the dense layout.
"""

from __future__ import annotations

from netdsl.ops.base import Call
from netdsl_llvm.layouts import FilterLayout, GroupedFilter, PackedFilter
from netdsl_llvm.target import Target
from netdsl_llvm.tiling import best_vectors

Shape = tuple[int, ...]


def conv_filter(target: Target, call: Call, batch: int) -> FilterLayout:
    """Of conv(x [C, H, W], w (O, C/groups, kh, kw))."""
    x, y, groups = call.inputs[0].shape, call.outputs[0].shape, call.attrs["groups"]
    if GroupedFilter.fits(y[0], x[0], groups, target.lanes):
        return GroupedFilter(x[0], x[0] // groups, tuple(call.attrs["kernel"]), target.lanes)
    return _conv(target, x, y, call, batch)


def grad_weight_filter(target: Target, call: Call, batch: int) -> PackedFilter:
    """Of conv_grad_weight(g [O, OH, OW], x [C, H, W]): as the layer's own, but for layers of small groups."""
    return _conv(target, call.inputs[1].shape, call.inputs[0].shape, call, batch)


def grad_input_home(target: Target, call: Call, batch: int) -> PackedFilter:
    """The layer's own, of conv_grad_input(g [O, OH, OW], w (O, C/groups, kh, kw)) -> [C, H, W]."""
    return _conv(target, call.outputs[0].shape, call.inputs[0].shape, call, batch)


def deconv_filter(target: Target, call: Call, batch: int) -> FilterLayout:
    """Of deconv(x [C, H, W], w (C, O/groups, kh, kw))."""
    return _transposed(target, call, batch)


def grad_input_filter(target: Target, call: Call, batch: int) -> FilterLayout:
    """Of conv_grad_input(g [O, OH, OW], w (O, C/groups, kh, kw)) -> [C, H, W]: the lanes hold C."""
    return _transposed(target, call, batch)


def fc_filter(target: Target, call: Call, batch: int) -> PackedFilter:
    """Of fc(x [F], w (O, F))."""
    return _matrix(target, call.outputs[0].shape[0], call.inputs[0].shape[0], batch, transposed=False)


def fc_grad_input_filter(target: Target, call: Call, batch: int) -> PackedFilter:
    """Of fc_grad_input(g [O], w (O, F)) -> [F]: the lanes hold F."""
    return _matrix(target, call.outputs[0].shape[0], call.inputs[0].shape[0], batch, transposed=True)


def fc_grad_weight_filter(target: Target, call: Call, batch: int) -> PackedFilter:
    """Of fc_grad_weight(g [O], x [F]) -> (O, F): as the layer's own."""
    return _matrix(target, call.inputs[0].shape[0], call.inputs[1].shape[0], batch, transposed=False)


def _conv(target: Target, x: Shape, y: Shape, call: Call, batch: int) -> PackedFilter:
    kernel, groups = tuple(call.attrs["kernel"]), call.attrs["groups"]
    vectors = _vectors(target, y[0], groups, _grid(y[1], y[2], batch))
    return PackedFilter(y[0], x[0], kernel, groups, target.lanes, vectors, min(target.lanes, x[0]))


def _transposed(target: Target, call: Call, batch: int) -> FilterLayout:
    kernel, groups = tuple(call.attrs["kernel"]), call.attrs["groups"]
    (inputs, *_), (outputs, height, width) = call.inputs[0].shape, call.outputs[0].shape
    if GroupedFilter.fits(outputs, inputs, groups, target.lanes):
        return GroupedFilter(inputs, inputs // groups, kernel, target.lanes, True)
    phase = [max(1, size // step) for size, step in zip((height, width), call.attrs["stride"], strict=True)]
    vectors = _vectors(target, outputs, groups, _grid(phase[0], phase[1], batch))
    return PackedFilter(outputs, inputs, kernel, groups, target.lanes, vectors, min(target.lanes, inputs), True)


def _matrix(target: Target, outputs: int, inputs: int, batch: int, *, transposed: bool) -> PackedFilter:
    vectors = _vectors(target, outputs, 1, (batch, 1))
    return PackedFilter(outputs, inputs, (), 1, target.lanes, vectors, min(target.lanes, inputs), transposed)


def _grid(height: int, width: int, batch: int) -> tuple[int, int]:
    """The pixels that tiles are cut from: single pixels are taken together over the batch."""
    return (height, width) if height * width > 1 else (batch, 1)


def _vectors(target: Target, outputs: int, groups: int, grid: tuple[int, int]) -> int:
    """Registers of result channels in a tile; tiles of one register where groups don't fill whole registers."""
    per_group = outputs // groups
    if groups == 1:
        return best_vectors(-(-outputs // target.lanes), (grid,), target.registers)
    if per_group % target.lanes:
        return 1
    return best_vectors(per_group // target.lanes, (grid,), target.registers, divisor=True)
