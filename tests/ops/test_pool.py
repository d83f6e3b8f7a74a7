from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Code
from netdsl.ops import infer_types
from netdsl.ops.base import Call, ShapeError, get
from netdsl.ops.window import Window
from tests.ops.support import OneOp, batched, check_differences, check_torch

PAIR = st.tuples(*[st.integers(1, 4)] * 2)


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(*[st.integers(1, 9)] * 2), kernel=PAIR, stride=PAIR, pad=st.tuples(*[st.integers(0, 2)] * 2),
       ceil=st.booleans(), count=st.booleans())  # fmt: skip
def test_pools(size: Any, kernel: Any, stride: Any, pad: Any, ceil: bool, count: bool) -> None:
    torch = pytest.importorskip("torch")
    assume(all(2 * p <= k <= n + 2 * p for n, k, p in zip(size, kernel, pad, strict=True)))
    rounding = "ceil" if ceil else "floor"
    common = {"kernel": kernel, "stride": stride, "pad": (pad[0], pad[0], pad[1], pad[1]), "round": rounding}
    x = np.random.default_rng(3).standard_normal((2, 3, *size))
    functional = torch.nn.functional
    check_torch(OneOp("maxpool", [batched(3, *size)], common), [x],
                lambda t: functional.max_pool2d(t, kernel, stride, pad, 1, ceil))  # fmt: skip
    check_torch(OneOp("avgpool", [batched(3, *size)], {**common, "count_include_pad": count}), [x],
                lambda t: functional.avg_pool2d(t, kernel, stride, pad, ceil, count))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(*[st.integers(1, 9)] * 2), to=st.tuples(*[st.integers(1, 7)] * 2))
def test_adaptive_average(size: Any, to: Any) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).standard_normal((2, 3, *size))
    op = OneOp("avgpool", [batched(3, *size)], {"to": to})
    check_torch(op, [x], lambda t: torch.nn.functional.adaptive_avg_pool2d(t, to))


def test_adaptive_windows_that_divide_are_an_ordinary_pool() -> None:
    attrs, _ = infer_types("avgpool", {"to": (2, 3)}, [batched(3, 8, 9)])
    assert (attrs["kernel"], attrs["stride"], attrs["to"]) == ((4, 3), (4, 3), None)
    again, _ = infer_types("avgpool", attrs, [batched(3, 8, 9)])
    assert again == attrs


@pytest.mark.parametrize("name", ["maxpool", "avgpool"])
def test_global(name: str) -> None:
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 5))
    op = OneOp(name, [batched(3, 4, 5)], {"kernel": "global"})
    expected = x.max(axis=(2, 3)) if name == "maxpool" else x.mean(axis=(2, 3))
    np.testing.assert_allclose(op.run([x])[0][:, :, 0, 0], expected, rtol=1e-12)
    assert infer_types(name, op.node.attrs, [batched(3, 4, 5)])[0] == op.node.attrs
    with pytest.raises(ShapeError, match="no stride"):
        infer_types(name, {"kernel": "global", "stride": (2, 2)}, [batched(3, 4, 5)])


def test_ties_go_to_the_first_in_row_major_order() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([[[[1.0, 1, 0, 2], [1, 1, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0]]]])
    op = OneOp("maxpool", [batched(1, 4, 4)], {"kernel": (3, 3), "stride": (1, 1)})
    check_torch(op, [x], lambda t: torch.nn.functional.max_pool2d(t, 3, 1))


def test_nan_is_the_maximum() -> None:
    x = np.zeros((1, 1, 2, 2))
    x[0, 0, 1, 0] = np.nan
    y, grads = OneOp("maxpool", [batched(1, 2, 2)], {"kernel": (2, 2)}).run([x])
    assert np.isnan(y).all() and np.isnan(grads[0][0, 0, 1, 0])


def test_differences_with_overlap_and_a_short_last_window() -> None:
    x = np.random.default_rng(0).permutation(60).astype(float).reshape(1, 2, 5, 6)
    attrs = {"kernel": (3, 2), "stride": (2, 3), "pad": (1, 0, 1, 1), "round": "ceil"}
    for name in ("maxpool", "avgpool"):
        check_differences(OneOp(name, [batched(2, 5, 6)], attrs), [x])


# -- sizes -------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 30), k=st.integers(1, 6), s=st.integers(1, 6), p=st.integers(0, 3), q=st.integers(0, 3))
def test_ceil_covers_what_floor_drops(n: int, k: int, s: int, p: int, q: int) -> None:
    window = Window(n, k, s, p, q)
    assume(window.slack >= 0 and p < k and q < k)
    floor, ceil, caffe = (window.outputs(word) for word in ("floor", "ceil", "ceil_caffe"))
    assert floor <= ceil <= caffe <= floor + 1
    assert (ceil - 1) * s < n + p or ceil == floor
    if caffe != ceil:
        assert p == q == 0 and s > k
    assert window.dropped(ceil) == 0
    end = (floor - 1) * s - p + k - 1
    seen = set(range(end + 1))
    assert (window.dropped(floor) > 0) == bool(set(range(n)) - seen - set(range(end + 1, end + 1 + max(0, s - k))))


def test_the_older_caffe_rule_may_ask_for_an_empty_window() -> None:
    attrs = {"kernel": (1, 1), "stride": (4, 4), "round": "ceil_caffe"}
    with pytest.raises(ShapeError, match="no pixel") as caught:
        infer_types("maxpool", attrs, [batched(1, 6, 9)])
    assert caught.value.notes == ("height: the last starts at 8, the height is 6",)
    _, (result,) = infer_types("maxpool", {**attrs, "round": "ceil"}, [batched(1, 6, 9)])
    assert result.shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("attrs", "code"),
    [
        ({}, Code.MISSING_ARGUMENT),
        ({"kernel": (9, 9)}, Code.KERNEL_TOO_LARGE),
        ({"kernel": (2, 2), "pad": (2, 0, 0, 0)}, Code.KERNEL_TOO_LARGE),
        ({"kernel": (2, 2), "pad": (0, 3, 0, 0)}, Code.KERNEL_TOO_LARGE),
        ({"kernel": (2, 2), "round": "exact"}, Code.INEXACT_SIZE),
        ({"kernel": (2, 2), "to": (2, 2)}, Code.BAD_VALUE),
    ],
)
def test_errors(attrs: Any, code: Code) -> None:
    with pytest.raises(ShapeError) as caught:
        infer_types("avgpool", attrs, [batched(3, 7, 7)])
    assert caught.value.code is code


def test_a_window_that_drops_pixels_is_told() -> None:
    types = (batched(3, 7, 8),)
    attrs, outputs = infer_types("maxpool", {"kernel": (3, 3)}, types)
    (warning,) = get("maxpool").warnings(Call(attrs, types, outputs))
    assert warning.title == "`maxpool` never sees the last row and 2 columns of its input"
    assert warning.notes == ("height: (7 - 3)/3 + 1 = 2.33", "width: (8 - 3)/3 + 1 = 2.67")
