"""Weight layouts hold every element once and zeros elsewhere, and go over into each other on the machine."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

from netdsl.ir.types import TensorType
from netdsl.plan.layout import Blocked, Layout
from netdsl_llvm.kernels import repack
from netdsl_llvm.layouts import GroupedFilter, PackedFilter
from netdsl_llvm.target import Target
from tests.backends.llvm.harness import TARGETS
from tests.backends.llvm.step_harness import Operand, compile_step

few = settings(max_examples=30, deadline=None)
kernels = st.sampled_from([(), (1, 1), (3, 2), (1, 4)])


@st.composite
def packed(draw: st.DrawFn) -> PackedFilter:
    kernel = draw(kernels)
    groups = draw(st.integers(1, 6)) if kernel else 1
    inputs, outputs = groups * draw(st.integers(1, 12)), groups * draw(st.integers(1, 40))
    lanes = draw(st.sampled_from([4, 8, 16]))
    vectors = draw(st.integers(1, 4)) if groups == 1 else 1
    return PackedFilter(outputs, inputs, kernel, groups, lanes, vectors, min(lanes, inputs), draw(st.booleans()))


@st.composite
def grouped(draw: st.DrawFn) -> GroupedFilter:
    group, lanes = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([8, 16]))
    return GroupedFilter(group * draw(st.integers(1, 20)), group, (3, 2), lanes, draw(st.booleans()))


@few
@given(st.one_of(packed(), grouped()))
def test_pack_and_unpack(layout: PackedFilter | GroupedFilter) -> None:
    weight = np.arange(1, 1 + np.prod(layout.shape), dtype=np.float32).reshape(layout.shape)
    flat = layout.pack(weight)
    assert flat.shape == (layout.size,)
    assert sorted(flat[flat != 0]) == list(weight.reshape(-1))
    np.testing.assert_array_equal(layout.unpack(flat), weight)


@few
@given(packed(), st.integers(0, 1 << 30))
def test_tiles_see_their_groups_inputs(layout: PackedFilter, seed: int) -> None:
    """The block a tile starts from, plus its place in the tile, is the input channel's block."""
    assume(layout.groups > 1 and not layout.transposed)
    weight = np.zeros(layout.shape, np.float32)
    output = seed % layout.outputs
    inner = seed // 7 % layout.shape[1]
    weight[output, inner] = 1
    flat = layout.pack(weight).reshape(layout.tiles, layout.span, layout.taps, layout.block, layout.width)
    tile, block, _, channel, lane = (int(axis[0]) for axis in np.nonzero(flat))
    group = output // (layout.outputs // layout.groups)
    assert (layout.first_block(tile) + block) * layout.block + channel == group * layout.shape[1] + inner
    assert tile * layout.width + lane == output


def layouts_of(shape: tuple[int, ...], lanes: int) -> list[Layout]:
    """All kinds of layout of a weight (C, I, ...) of one group."""
    first, second, *_ = shape
    kernel = shape[2:]
    return [
        Blocked.of(TensorType(shape, False), 1, lanes),
        PackedFilter(first, second, kernel, 1, lanes, 1, min(lanes, second)),
        PackedFilter(first, second, kernel, 1, lanes, 3, min(lanes, second)),
        PackedFilter(second, first, kernel, 1, lanes, 2, min(lanes, first), True),
    ]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(37, 21), (37, 21, 3, 2), (64, 48, 1, 1), (5, 3, 2, 2)], ids=str)
def test_relayout(shape: tuple[int, ...], target: str) -> None:
    machine = Target.named(target)
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    layouts = layouts_of(shape, machine.lanes)
    for source, result in [(a, b) for a in layouts for b in layouts if a != b]:
        assert_moves(machine, weight, source, result)


@pytest.mark.parametrize("target", TARGETS)
def test_relayout_of_groups(target: str) -> None:
    machine = Target.named(target)
    channels, group, lanes = 18, 2, machine.lanes
    weight = np.random.default_rng(0).standard_normal((channels, group, 3, 1)).astype(np.float32)
    layouts: list[Layout] = [
        GroupedFilter(channels, group, (3, 1), lanes),
        GroupedFilter(channels, group, (3, 1), lanes, True),
        PackedFilter(channels, channels, (3, 1), channels // group, lanes, 1, lanes),
        PackedFilter(channels, channels, (3, 1), channels // group, lanes, 1, lanes, True),
    ]
    for source, result in [(a, b) for a in layouts for b in layouts if a != b]:
        assert_moves(machine, weight, source, result)


def assert_moves(machine: Target, weight: np.ndarray, source: Layout, result: Layout) -> None:
    kind = TensorType(weight.shape, False)
    operands = Operand(weight, kind, source), Operand(np.ones_like(weight), kind, result)
    step = compile_step(machine, repack.emit, "relayout", {}, operands[:1], operands[1])
    step.memory[1][:] = np.nan
    step.run()
    np.testing.assert_array_equal(step.result().reshape(weight.shape), weight)
