from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.data.resize import cover, resize, resize_matrix

sizes = st.integers(1, 40)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes)
def test_rows_average_and_mirror(source: int, target: int) -> None:
    matrix = resize_matrix(source, target)
    assert matrix.shape == (target, source)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, sizes, sizes)
def test_resampling_is_by_the_matrices(rows: int, columns: int, height: int, width: int) -> None:
    image = np.random.default_rng(rows).random((2, rows, columns), dtype=np.float32)
    expected = resize_matrix(rows, height) @ image @ resize_matrix(columns, width).T
    np.testing.assert_allclose(resize(image, height, width), expected, atol=2e-6)


def test_equal_sizes_change_nothing() -> None:
    image = np.random.default_rng(0).random((3, 5, 7), dtype=np.float32)
    np.testing.assert_array_equal(resize(image, 5, 7), image)


def test_doubling_interpolates_between_pixel_centres() -> None:
    np.testing.assert_allclose(resize_matrix(2, 4) @ [0, 4], [0, 1, 3, 4])


@pytest.mark.parametrize("size", [(3, 5), (16, 9), (8, 8), (50, 70)])
def test_agrees_with_pillow(size: tuple[int, int]) -> None:
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(1).random((21, 33), dtype=np.float32)
    picture = image_module.fromarray(image, mode="F")
    theirs = np.asarray(picture.resize((size[1], size[0]), image_module.Resampling.BILINEAR))
    np.testing.assert_allclose(resize(image[None], *size)[0], theirs, atol=2e-3)


def test_cover_keeps_the_ratio_and_cuts_the_centre() -> None:
    image = np.zeros((1, 10, 30), dtype=np.float32)
    image[:, :, 10:20] = 1
    np.testing.assert_array_equal(cover(image, 10, 10), np.ones((1, 10, 10)))
    assert cover(image, 4, 9).shape == (1, 4, 9)
