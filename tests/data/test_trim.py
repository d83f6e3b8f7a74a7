from __future__ import annotations

import numpy as np
import pytest

from netdsl.data.trim import trimmed


@pytest.mark.parametrize("ink", [0.1, 0.95])
def test_the_subject_is_cut_out_and_squared(ink: float) -> None:
    image = np.full((3, 30, 40), 0.5, dtype=np.float32)
    image[:, 5:15, 20:24] = ink
    image += np.random.default_rng(0).normal(0, 0.01, image.shape).astype(np.float32)
    cut = trimmed(image)
    assert cut.shape == (3, 10, 10)
    np.testing.assert_array_equal(cut[:, :, 3:7], image[:, 5:15, 20:24])
    np.testing.assert_allclose(cut[:, :, :3], 0.5, atol=0.01)


def test_a_picture_without_a_subject_stays() -> None:
    image = np.full((1, 6, 7), 0.3, dtype=np.float32)
    image[0, 3, 3] = 0.35
    np.testing.assert_array_equal(trimmed(image), image)


def test_a_subject_that_fills_the_picture() -> None:
    image = np.zeros((1, 6, 4), dtype=np.float32)
    image[0, :, 1:3] = 1
    assert trimmed(image).shape == (1, 6, 6)
