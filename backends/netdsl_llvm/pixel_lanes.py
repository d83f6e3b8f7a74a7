"""Where a convolution runs better with neighbouring pixels in the lanes than with channels. Decided from shapes alone.

A map of one channel has its pixels side by side in memory; where there are fewer results than lanes, registers of
pixels are fuller than registers of channels, and the functions applied to results take fewer of them too.
"""

from __future__ import annotations

from netdsl.ir.graph import Node
from netdsl.ops.base import Call
from netdsl.ops.window import Window, windows_of
from netdsl_llvm.target import Target

WORTH = 0.9
"""Registers of pixels must be at most this part of those of channels: results are turned to channels in the end."""
HALF = 2
"""Sides and steps of the pooling windows that can be fused."""


def fits(target: Target, call: Call) -> bool:
    """Whether a convolution of one input channel, its x stored without pad channels, should run this way."""
    (inputs, *_), (outputs, _, width), lanes = call.inputs[0].shape, call.outputs[0].shape, target.lanes
    if inputs != 1 or call.attrs["stride"][1] != 1 or width < lanes:
        return False
    return outputs * -(-width // lanes) <= WORTH * width * -(-outputs // lanes)


def fuses_pool(target: Target, conv: Node, pool: Node) -> bool:
    """Whether a pool that alone reads such a convolution can run with it."""
    if pool.op not in ("maxpool", "avgpool") or len(conv.main_inputs) != len(conv.inputs):
        return False
    return conv.inputs[0].node.op == "input" and fits(target, Call.of(conv)) and halves(target, Call.of(pool))


def halves(target: Target, pool: Call) -> bool:
    """Whether a pool has whole windows of 2x2 side by side, and rows of them fill the lanes."""
    shape = pool.inputs[0].shape
    if pool.attrs.get("to") is not None or HALF * pool.outputs[0].shape[2] < target.lanes:
        return False
    return all(
        _is_half(window) and outputs == window.length // HALF
        for window, outputs in zip(windows_of(pool.attrs, shape), pool.outputs[0].shape[1:], strict=True)
    )


def _is_half(window: Window) -> bool:
    return (window.kernel, window.stride, window.before, window.dilation) == (HALF, HALF, 0, 1)
