from __future__ import annotations

import numpy as np
import pytest

from netdsl.ops.base import Init
from netdsl.weights.initialize import initial_value

SHAPE = (60, 50, 3, 3)


@pytest.mark.parametrize(
    ("init", "deviation", "bound"),
    [
        (Init("he", fan_in=450), (2 / 450) ** 0.5, None),
        (Init("lecun", fan_in=450), (1 / 450) ** 0.5, None),
        (Init("normal", 0.01), 0.01, None),
        (Init("xavier", fan_in=450, fan_out=540), (2 / 990) ** 0.5, (6 / 990) ** 0.5),
        (Init("uniform", 0.3), 0.3 / 3**0.5, 0.3),
    ],
)
def test_random_kinds(init: Init, deviation: float, bound: float | None) -> None:
    values = initial_value(init, SHAPE, 1, "conv1.weight")
    assert values.shape == SHAPE and values.dtype == np.float32
    assert abs(values.mean()) < 0.02 * deviation
    assert values.std() == pytest.approx(deviation, rel=0.01)
    assert bound is None or np.abs(values).max() <= bound
    np.testing.assert_array_equal(values, initial_value(init, SHAPE, 1, "conv1.weight"))
    assert (values != initial_value(init, SHAPE, 2, "conv1.weight")).mean() > 0.99
    assert (values != initial_value(init, SHAPE, 1, "conv2.weight")).mean() > 0.99


def test_fixed_kinds() -> None:
    for kind, expected in (("zeros", 0.0), ("ones", 1.0), ("constant", 0.25)):
        np.testing.assert_array_equal(initial_value(Init(kind, 0.25), (2, 3), 0, "w"), np.full((2, 3), expected))
    assert initial_value(Init("he", fan_in=1), (), 0, "w").shape == ()
