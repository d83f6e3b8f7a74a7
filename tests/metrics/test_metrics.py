from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.metrics import Mean, confusion_matrix, correct_pixels, correct_top_k


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(2, 7), st.integers(0, 10_000))
def test_top_k_equals_sorting(count: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 4, (count, classes)).astype(np.float32)
    labels = random.integers(0, classes, count)
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in range(1, classes + 1):
        assert correct_top_k(scores, labels, k) == (order[:, :k] == labels[:, None]).any(axis=1).sum()


def test_scores_of_one_pixel_and_scores_that_are_no_numbers() -> None:
    scores = np.array([[0.1, 0.9], [np.nan, -5.0]], dtype=np.float32)
    assert correct_top_k(scores.reshape(2, 2, 1, 1), np.array([1, 1])) == 2
    assert correct_top_k(scores, np.array([0, 0])) == 0


def test_pixels_and_confusion() -> None:
    scores = np.zeros((2, 3, 2, 2))
    scores[:, 1] = 1
    labels = np.array([[[1, 1], [1, 0]], [[1, 2], [2, 2]]])
    assert correct_pixels(scores, labels) == 4
    matrix = confusion_matrix(scores, labels, 3)
    np.testing.assert_array_equal(matrix, [[0, 1, 0], [0, 4, 0], [0, 3, 0]])


def test_means_do_not_depend_on_the_cut() -> None:
    mean = Mean()
    mean.add(3.0, 2)
    mean.add(6.0, 1)
    assert mean.value == 3.0
    with pytest.raises(ZeroDivisionError):
        _ = Mean().value
