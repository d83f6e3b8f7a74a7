"""Ops that move elements: flatten, reshape, concat, slice, crop, pad, upsample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Code
from netdsl.ops import infer_types
from netdsl.ops.base import ShapeError, get
from tests.ops.support import OneOp, batched, check_torch

SIZE = st.tuples(*[st.integers(1, 7)] * 2)
MODES = {
    ("bilinear", "half_pixel"): {"mode": "bilinear", "align_corners": False},
    ("bilinear", "align_corners"): {"mode": "bilinear", "align_corners": True},
    ("nearest", "asymmetric"): {"mode": "nearest"},
    ("nearest", "half_pixel"): {"mode": "nearest-exact"},
}


def sample(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal((2, *shape))


@settings(max_examples=40, deadline=None)
@given(size=SIZE, to=SIZE, mode=st.sampled_from(sorted(MODES)))
def test_upsample(size: tuple[int, int], to: tuple[int, int], mode: tuple[str, str]) -> None:
    torch = pytest.importorskip("torch")
    op = OneOp("upsample", [batched(2, *size)], {"size": to, "mode": mode[0], "coords": mode[1]})
    check_torch(op, [sample(2, *size)], lambda x: torch.nn.functional.interpolate(x, size=to, **MODES[mode]))


def test_asymmetric_bilinear_starts_at_the_pixels() -> None:
    op = OneOp("upsample", [batched(1, 1, 3)], {"factor": (1, 2), "mode": "bilinear", "coords": "asymmetric"})
    y, _ = op.run([np.array([[[[0.0, 2.0, 6.0]]]])])
    np.testing.assert_array_equal(y[0, 0, 0], [0, 1, 2, 4, 6, 6])


@pytest.mark.parametrize(
    "attrs", [{}, {"factor": (2, 2), "size": (8, 8)}, {"factor": (2, 2), "mode": "nearest", "coords": "align_corners"}]
)
def test_upsample_needs_one_size_and_a_rule(attrs: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        infer_types("upsample", {"mode": "bilinear", "coords": "half_pixel", **attrs}, [batched(1, 4, 4)])


def test_crop_and_pad_undo_each_other() -> None:
    x = sample(2, 5, 6)
    wide, _ = OneOp("pad", [batched(2, 5, 6)], {"by": (1, 2, 0, 3)}).run([x])
    assert wide.shape == (2, 2, 8, 9) and wide.sum() == pytest.approx(x.sum())
    back, _ = OneOp("crop", [batched(2, 8, 9)], {"by": (1, 2, 0, 3)}).run([wide])
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize(
    ("op", "size", "wanted", "amounts"),
    [
        ("crop", (64, 64), (56, 55), (4, 4, 4, 5)),
        ("crop", (8, 8), (8, 8), (0, 0, 0, 0)),
        ("pad", (14, 14), (15, 17), (0, 1, 1, 2)),
    ],
)
def test_like_is_centred(op: str, size: Any, wanted: Any, amounts: Any) -> None:
    attrs = get(op).resolve({"by": None}, [batched(3, *size), batched(7, *wanted)])
    assert attrs["by"] == amounts
    assert infer_types(op, attrs, [batched(3, *size)])[1] == (batched(3, *wanted),)


@pytest.mark.parametrize(("op", "wanted", "other"), [("crop", (5, 4), "pad"), ("pad", (3, 4), "crop")])
def test_like_of_the_wrong_size(op: str, wanted: Any, other: str) -> None:
    with pytest.raises(ShapeError) as caught:
        get(op).resolve({"by": None}, [batched(1, 4, 4), batched(1, *wanted)])
    assert caught.value.label == f"height 4 → {wanted[0]}"
    assert caught.value.help is not None and f"`{other}(x, like = y)`" in caught.value.help


def test_crop_of_everything() -> None:
    with pytest.raises(ShapeError, match="leave nothing"):
        infer_types("crop", {"by": (2, 2, 0, 0)}, [batched(1, 4, 4)])
    with pytest.raises(ShapeError) as caught:
        infer_types("crop", {}, [batched(1, 4, 4)])
    assert caught.value.code is Code.MISSING_ARGUMENT


def test_concat_and_its_gradient_are_inverse() -> None:
    torch = pytest.importorskip("torch")
    op = OneOp("concat", [batched(2, 3, 4), batched(1, 3, 4), batched(5, 3, 4)], {})
    check_torch(op, [sample(2, 3, 4), sample(1, 3, 4), sample(5, 3, 4)], lambda *parts: torch.cat(parts, 1))


def test_concat_names_the_operand_that_differs() -> None:
    types = [batched(2, 28, 28), batched(3, 28, 28), batched(4, 27, 28)]
    with pytest.raises(ShapeError) as caught:
        infer_types("concat", {}, types)
    error = caught.value
    assert error.code is Code.SHAPE_MISMATCH and "operand 3" in error.title
    assert error.label == "height 28 ≠ 27" and error.operand_notes == {2: "height 28 ≠ 27"}
    with pytest.raises(ShapeError, match="concat") as caught:
        infer_types("concat", {}, [batched(2, 3, 3), batched(2)])
    assert caught.value.label == "the numbers of axes differ"


@pytest.mark.parametrize(("shape", "result"), [((2, 12), (2, 12)), ((4, -1), (4, 6)), ((-1,), (24,))])
def test_reshape(shape: Any, result: Any) -> None:
    attrs, (type,) = infer_types("reshape", {"shape": shape}, [batched(2, 3, 4)])
    assert type.shape == attrs["shape"] == result


@pytest.mark.parametrize("shape", [(5, 5), (5, -1), (-1, -1), (0, 24)])
def test_reshape_keeps_the_elements(shape: Any) -> None:
    with pytest.raises(ShapeError):
        infer_types("reshape", {"shape": shape}, [batched(2, 3, 4)])


def test_flatten_keeps_the_order_of_c() -> None:
    x = sample(2, 3, 4)
    y, _ = OneOp("flatten", [batched(2, 3, 4)], {}).run([x])
    np.testing.assert_array_equal(y, x.reshape(2, 24))


def test_slice_takes_channels_that_there_are() -> None:
    x = sample(5, 3, 4)
    y, _ = OneOp("slice", [batched(5, 3, 4)], {"start": 1, "stop": 4}).run([x])
    np.testing.assert_array_equal(y, x[:, 1:4])
    for start, stop in ((2, 6), (3, 3), (4, 2)):
        with pytest.raises(ShapeError) as caught:
            infer_types("slice", {"start": start, "stop": stop}, [batched(5, 3, 4)])
        assert caught.value.label == "5 channels, from 0"
