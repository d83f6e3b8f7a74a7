from __future__ import annotations

import numpy as np
import pytest

from netdsl.data import open_data
from netdsl.data.digits import load_digits


def test_the_last_360_are_the_test_set() -> None:
    data = open_data("digits")
    pixels, labels = load_digits()
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.classes == tuple("0123456789")
    assert pixels.shape == (1797, 1, 8, 8)
    assert (int(pixels.min()), int(pixels.max())) == (0, 16)
    np.testing.assert_array_equal(data.test.targets, labels[-360:])
    np.testing.assert_array_equal(data.test.image(0), pixels[-360].astype(np.float32) / 16)


def test_equal_to_the_copy_in_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    pixels, labels = load_digits()
    np.testing.assert_array_equal(pixels[:, 0], theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)
