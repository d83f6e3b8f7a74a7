"""Receptive fields against impulses: change one pixel, see which positions of the result move."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.analysis.receptive import number_text, receptive_fields, union
from netdsl.diagnostics import Code
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.types import TensorType
from netdsl.ops import builder
from netdsl.ops.base import AxisMap, Init
from netdsl.reference import Interpreter
from netdsl.source import Source

LENGTH = 23
SOURCE = Source("paths.net", "a\nb\n")
Layer = Callable[[GraphBuilder, Value], Value]


def parameter(build: GraphBuilder, name: str, shape: tuple[int, ...]) -> Value:
    name = build.graph.unique_name(name)
    return build.param(name, shape, {"init": Init("ones"), "trainable": True, "decay": True})


def conv(kernel: int, stride: int = 1, before: int = 0, after: int = 0, dilation: int = 1) -> Layer:
    def make(build: GraphBuilder, x: Value) -> Value:
        attrs = {"channels": 1, "kernel": (1, kernel), "stride": (1, stride), "pad": (0, 0, before, after),
                 "dilation": (1, dilation), "bias": False}  # fmt: skip
        return build.op("conv", [x, parameter(build, "w", (1, 1, 1, kernel))], attrs).output

    return make


def deconv(kernel: int, stride: int, pad: int = 0) -> Layer:
    def make(build: GraphBuilder, x: Value) -> Value:
        attrs = {"channels": 1, "kernel": (1, kernel), "stride": (1, stride), "pad": (0, 0, pad, pad), "bias": False}
        return build.op("deconv", [x, parameter(build, "w", (1, 1, 1, kernel))], attrs).output

    return make


def op(name: str, **attrs: object) -> Layer:
    return lambda build, x: build.op(name, [x], attrs).output


def pool(kernel: int, stride: int, before: int = 0) -> Layer:
    return op("avgpool", kernel=(1, kernel), stride=(1, stride), pad=(0, 0, before, 0), round="ceil")


def resized(factor: int, mode: str, coords: str) -> Layer:
    return op("upsample", factor=(1, factor), mode=mode, coords=coords)


def branches(first: Layer, second: Layer) -> Layer:
    return lambda build, x: build.op("add", [first(build, x), second(build, x)]).output


def seen(graph: Graph) -> np.ndarray:
    """``[positions, pixels]``: whether a position of the result changes with a pixel; all weights are 1."""
    params = {node.name: np.ones(node.output.type.shape) for node in graph.params}
    images = np.concatenate([np.zeros((1, LENGTH)), np.eye(LENGTH)]).reshape(-1, 1, 1, LENGTH)
    result = Interpreter(graph).run({"x": images}, params).outputs["y"][:, 0, 0]
    return (result[1:] != result[0]).T


def check(*layers: Layer, tight: bool = True) -> None:
    """Every position sees nothing outside its interval; if ``tight``, its first and last pixel where they exist."""
    graph = Graph("paths")
    build = builder(graph)
    value = build.input("x", TensorType((1, 1, LENGTH)))
    for layer in layers:
        value = layer(build, value)
    graph.outputs["y"] = value
    field = receptive_fields(graph).fields[value].cols
    for position, pixels in enumerate(seen(graph)):
        low, high = field.scale * position + field.low, field.scale * position + field.high
        inside = [pixel for pixel in range(LENGTH) if low <= pixel <= high]
        found = np.flatnonzero(pixels).tolist()
        assert set(found) <= set(inside), (position, low, high, found)
        if tight and inside:
            assert (found[0], found[-1]) == (inside[0], inside[-1]), (position, low, high, found)


@settings(max_examples=50, deadline=None)
@given(
    layers=st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=3
    )
)
def test_chains_of_convolutions(layers: list[tuple[int, int, int, int]]) -> None:
    length = LENGTH
    for kernel, stride, before, after in layers:
        assume(length + before + after >= kernel)
        length = (length + before + after - kernel) // stride + 1
    # Windows with gaps, or wholly on padding, do not see the ends of their intervals.
    tight = all(stride <= kernel for kernel, stride, _, _ in layers) and not any(b or a for _, _, b, a in layers)
    check(*(conv(*layer) for layer in layers), tight=tight)


@pytest.mark.parametrize(
    "layers",
    [
        [conv(3, dilation=2), conv(2, 2)],
        [conv(7, 2, 3, 3), pool(3, 2, 1), conv(3, 1, 1, 1)],
        [pool(3, 2), pool(2, 2), conv(3)],
        [op("pad", by=(0, 0, 2, 1)), conv(3), op("crop", by=(0, 0, 1, 3))],
        [branches(conv(3, 2, 1, 1), conv(1, 2))],
        [branches(conv(5, 1, 2, 2), conv(3, 1, 1, 1))],
        [op("avgpool", kernel="global")],
    ],
)
def test_layers(layers: list[Layer]) -> None:
    check(*layers)


@pytest.mark.parametrize(
    "layers",
    [
        [pool(2, 2), deconv(2, 2)],
        [conv(3, 2, 1, 1), deconv(4, 2, 1), conv(3)],
        [deconv(3, 3), conv(2, 2)],
        [op("avgpool", to=(1, 5))],
        *(
            [pool(2, 2), resized(factor, mode, coords)]
            for factor in (2, 3)
            for mode, coords in (("nearest", "half_pixel"), ("nearest", "asymmetric"), ("bilinear", "half_pixel"),
                                 ("bilinear", "align_corners"), ("bilinear", "asymmetric"))
        ),
    ],
)  # fmt: skip
def test_layers_whose_positions_differ(layers: list[Layer]) -> None:
    """One affine map bounds them all, so some positions see less than their interval."""
    check(*layers, tight=False)


def join(first: Layer, second: Layer) -> tuple[Graph, Value]:
    graph = Graph("join")
    build = builder(graph)
    x = build.input("x", TensorType((1, 8, 8)))
    a, b = first(build, x), second(build, x)
    build.spans = frozenset({SOURCE.span(0, 1)})
    value = build.op("concat", [a, b]).output
    graph.outputs["y"] = value
    return graph, value


def test_paths_that_do_not_line_up() -> None:
    graph, _ = join(op("maxpool", kernel=(2, 2)), op("maxpool", kernel=(1, 1), stride=(2, 2)))
    (warning,) = receptive_fields(graph).warnings
    assert warning.code is Code.MISALIGNED_JOIN
    assert warning.notes[0] == "height: the first position's centre lies at 0.5 and 0"
    graph, value = join(op("maxpool", kernel=(2, 2)), op("crop", by=(0, 4, 0, 4)))
    found = receptive_fields(graph)
    assert "move by 2 and 1 pixels" in found.warnings[0].notes[0]
    assert found.fields[value].height.size == 5


def test_paths_that_line_up() -> None:
    upsampled = resized(2, "nearest", "half_pixel")
    graph, _ = join(
        lambda build, x: upsampled(build, op("maxpool", kernel=(1, 2))(build, x)), op("crop", by=(0, 0, 0, 0))
    )
    assert receptive_fields(graph).warnings == ()


def test_a_gate_is_left_out() -> None:
    graph = Graph("gate")
    build = builder(graph)
    x = build.input("x", TensorType((3, 8, 8)))
    gate = build.op("sigmoid", [build.op("avgpool", [x], {"kernel": "global"}).output]).output
    scaled = build.op("mul", [x, gate]).output
    fields = receptive_fields(graph).fields
    assert fields[gate].height.size == 8
    assert (fields[scaled].height.size, fields[scaled].height.jump) == (1, 1)


def test_flat_values_have_none() -> None:
    graph = Graph("flat")
    build = builder(graph)
    flat = build.op("flatten", [build.input("x", TensorType((3, 8, 8)))]).output
    assert flat not in receptive_fields(graph).fields


def test_union_of_different_steps_covers_all_positions() -> None:
    maps = [AxisMap(Fraction(2), Fraction(0), Fraction(1)), AxisMap(Fraction(1), Fraction(0), Fraction(0))]
    joined = union(maps, 4)
    assert joined == AxisMap(Fraction(2), Fraction(-3), Fraction(1))


def test_numbers_as_people_write_them() -> None:
    assert [number_text(Fraction(*pair)) for pair in ((4, 1), (5, 2), (-1, 4), (1, 3))] == ["4", "2.5", "-0.25", "1/3"]
