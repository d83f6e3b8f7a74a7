"""Windows as affine lists of taps, against their definitions; tiles that cover; orders of least traffic."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from netdsl_llvm.ordering import Order, best_order
from netdsl_llvm.tiling import Split, best_vectors, cut, pixel_limit
from netdsl_llvm.windows import Axis, halo_of, transposed_axes, window_axis

few = settings(max_examples=60, deadline=None)
sizes = st.integers(1, 20)
Triples = set[tuple[int, int, int]]


def triples(axis: Axis) -> Triples:
    """(result position, input position, kernel position) of every product."""
    return {
        (
            axis.out_first + o * axis.out_step,
            axis.in_first + o * axis.in_step + t * axis.tap_in,
            axis.tap_first + t * axis.tap_step,
        )
        for o in range(axis.count)
        for t in range(axis.taps)
    }


@few
@given(sizes, st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_window(outputs: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    axis = window_axis(outputs, kernel, stride, pad, dilation)
    assert triples(axis) == {(o, o * stride + k * dilation - pad, k) for o in range(outputs) for k in range(kernel)}


@few
@given(sizes, st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 4))
def test_transposed(results: int, kernel: int, stride: int, pad: int, dilation: int) -> None:
    """Every (o, k) that falls on a result is there once; results without any are there too, with no taps."""
    axes = transposed_axes(results, kernel, stride, pad, dilation)
    reach = range(-kernel * dilation - pad, results + pad + 1)
    expected = {
        (i, o, k) for i in range(results) for o in reach for k in range(kernel) if o * stride + k * dilation - pad == i
    }
    found = [triple for axis in axes for triple in triples(axis)]
    assert len(found) == len(expected)
    assert set(found) == expected
    positions = sorted(axis.out_first + o * axis.out_step for axis in axes for o in range(axis.count))
    assert positions == list(range(results))


@few
@given(sizes, st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3), sizes)
def test_halo(outputs: int, kernel: int, stride: int, pad: int, dilation: int, size: int) -> None:
    axis = window_axis(outputs, kernel, stride, pad, dilation)
    read = [place for _, place, _ in triples(axis)]
    above, below, _, _ = halo_of((axis,), (axis,), size, size)
    assert above == max(0, -min(read))
    assert below == max(0, max(read) - size + 1)


@few
@given(sizes, sizes, st.integers(1, 30))
def test_tiles_cover_the_map(rows: int, cols: int, limit: int) -> None:
    tiles = cut(rows, cols, limit)
    assert covered(tiles.rows) == list(range(rows))
    assert covered(tiles.cols) == list(range(cols))
    assert max(length for _, length, _ in tiles.rows.pieces) * max(w for _, w, _ in tiles.cols.pieces) <= limit


def covered(split: Split) -> list[int]:
    return [start + i for start, length, count in split.pieces for i in range(length * count)]


def test_tiles_fill_the_registers() -> None:
    assert best_vectors(4, ((56, 56),), 32) == 4
    assert pixel_limit(32, 2) == 13
    assert best_vectors(3, ((8, 8),), 32) == 3
    assert best_vectors(6, ((14, 14),), 32, divisor=True) in (2, 3)
    for registers in (16, 32):
        for vectors in range(1, 5):
            assert vectors * pixel_limit(registers, vectors) + vectors < registers


def test_orders() -> None:
    mebibyte = 1 << 20
    assert best_order(mebibyte // 4, 2 * mebibyte, 1, 16, 14) is Order.ROWS_LAST
    assert best_order(4 * mebibyte, mebibyte // 2, 1, 8, 56) is Order.TILES_LAST
    assert best_order(mebibyte // 4, 2 * mebibyte, 16, 16, 14) is Order.SAMPLES_FIRST
