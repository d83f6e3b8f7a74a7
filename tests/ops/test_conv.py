from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Code
from netdsl.ops import infer_types
from netdsl.ops.base import Call, ShapeError, get
from tests.ops.support import OneOp, batched, check_torch, random_array, weight

PAIRS = {"kernel": st.tuples(*[st.integers(1, 4)] * 2), "stride": st.tuples(*[st.integers(1, 3)] * 2)}
DILATION = st.tuples(*[st.integers(1, 2)] * 2)
PAD = st.tuples(*[st.integers(0, 3)] * 4)
SIZE = st.tuples(*[st.integers(1, 8)] * 2)
EXTRA = st.tuples(*[st.integers(0, 2)] * 2)
PER_GROUP = st.tuples(*[st.integers(1, 3)] * 2)


def padded(x: Any, pad: tuple[int, ...]) -> Any:
    import torch

    top, bottom, left, right = pad
    return torch.nn.functional.pad(x, (left, right, top, bottom))


def arrays_for(op: OneOp) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(5)
    return [random_array(rng, type, 2) for type in op.types]


@settings(max_examples=40, deadline=None)
@given(size=SIZE, pad=PAD, dilation=DILATION, groups=st.integers(1, 3), per=PER_GROUP, bias=st.booleans(), **PAIRS)
def test_conv(size: Any, pad: Any, dilation: Any, groups: int, per: Any, bias: bool, kernel: Any, stride: Any) -> None:
    torch = pytest.importorskip("torch")
    for axis in range(2):
        assume(size[axis] + sum(pad[2 * axis : 2 * axis + 2]) > dilation[axis] * (kernel[axis] - 1))
    inner, outer = per
    channels = outer * groups
    attrs = {"channels": channels, "kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation,
             "groups": groups, "bias": bias}  # fmt: skip
    types = [batched(inner * groups, *size), weight(channels, inner, *kernel)] + [weight(channels)] * bias
    op = OneOp("conv", types, attrs)

    def function(x: Any, w: Any, b: Any = None) -> Any:
        return torch.nn.functional.conv2d(padded(x, pad), w, b, stride, 0, dilation, groups)

    check_torch(op, arrays_for(op), function)


@settings(max_examples=40, deadline=None)
@given(size=SIZE, pad=PAD, dilation=DILATION, groups=st.integers(1, 3), per=PER_GROUP, extra=EXTRA, **PAIRS)
def test_deconv(
    size: Any, pad: Any, dilation: Any, groups: int, per: Any, extra: Any, kernel: Any, stride: Any
) -> None:
    torch = pytest.importorskip("torch")
    assume(all(a < b for a, b in zip(extra, stride, strict=True)))
    inner, outer = per
    attrs = {"channels": outer * groups, "kernel": kernel, "stride": stride, "pad": pad, "dilation": dilation,
             "groups": groups, "output_pad": extra}  # fmt: skip
    types = [batched(inner * groups, *size), weight(inner * groups, outer, *kernel), weight(outer * groups)]
    axes = zip(size, stride, dilation, kernel, extra, strict=True)
    whole = [(n - 1) * s + d * (k - 1) + e + 1 for n, s, d, k, e in axes]
    assume(all(whole[axis] > sum(pad[2 * axis : 2 * axis + 2]) for axis in range(2)))
    op = OneOp("deconv", types, attrs)

    def function(x: Any, w: Any, b: Any) -> Any:
        y = torch.nn.functional.conv_transpose2d(x, w, b, stride, 0, extra, groups, dilation)
        top, bottom, left, right = pad
        return y[:, :, top : whole[0] - bottom, left : whole[1] - right]

    check_torch(op, arrays_for(op), function)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 40), kernel=st.integers(1, 7), stride=st.integers(1, 4), dilation=st.integers(1, 3))
def test_same_padding(length: int, kernel: int, stride: int, dilation: int) -> None:
    pads = {}
    for word in ("same", "same_upper", "same_lower"):
        window = {"kernel": (kernel, 1), "stride": (stride, 1), "dilation": (dilation, 1), "pad": word}
        types = [batched(1, length, 1), weight(1, 1, kernel, 1)]
        attrs, (result,) = infer_types("conv", {"channels": 1, **window}, types)
        assert result.shape == (1, -(-length // stride), 1)
        pads[word] = attrs["pad"][:2]
    assert pads["same"] == pads["same_upper"] == pads["same_lower"][::-1]
    assert 0 <= pads["same"][1] - pads["same"][0] <= 1


def test_same_padding_of_deconv_multiplies_by_the_stride() -> None:
    given_attrs = {"channels": 1, "kernel": (4, 3), "stride": (2, 2), "pad": "same"}
    attrs, (result,) = infer_types("deconv", given_attrs, [batched(1, 7, 9), weight(1, 1, 4, 3)])
    assert result.shape == (1, 14, 18) and attrs["pad"] == (1, 1, 0, 1)
    with pytest.raises(ShapeError, match="same"):
        get("deconv").resolve({**attrs, "kernel": (1, 1), "pad": "same"}, [batched(1, 7, 9)])


def test_parameters() -> None:
    attrs, _ = infer_types("conv", {"channels": 8, "kernel": (3, 5), "groups": 2}, [batched(6, 9, 9)])
    kernel, bias = get("conv").parameters(attrs, [batched(6, 9, 9)])
    assert (kernel.shape, kernel.init.fan_in, kernel.init.fan_out) == ((8, 3, 3, 5), 45, 60)
    assert (bias.name, bias.shape, bias.init.kind) == ("bias", (8,), "zeros")
    window = {"kernel": (2, 2), "stride": (2, 2)}
    attrs, _ = infer_types("deconv", {"channels": 8, "bias": False, **window}, [batched(6, 9, 9)])
    (kernel,) = get("deconv").parameters(attrs, [batched(6, 9, 9)])
    assert kernel.shape == (6, 8, 2, 2) and kernel.init.fan_in == 6


def test_cost_counts_taps_on_padding_and_biases() -> None:
    types = [batched(3, 8, 8), weight(5, 3, 3, 3), weight(5)]
    attrs, outputs = infer_types("conv", {"channels": 5, "kernel": (3, 3), "pad": (1, 1, 1, 1)}, types)
    cost = get("conv").cost(Call(attrs, tuple(types), outputs))
    assert cost.macs == 8 * 8 * 5 * 3 * 9 and cost.flops == 2 * cost.macs + 8 * 8 * 5
    types = [batched(4, 8, 8), weight(4, 2, 2, 2)]
    window = {"kernel": (2, 2), "stride": (2, 2), "groups": 2}
    attrs, outputs = infer_types("deconv", {"channels": 4, "bias": False, **window}, types)
    assert get("deconv").cost(Call(attrs, tuple(types), outputs)).macs == 8 * 8 * 4 * 2 * 4


@pytest.mark.parametrize(
    ("shape", "attrs", "code", "text"),
    [
        ((3, 4, 9), {"kernel": (7, 3), "pad": (1, 1, 0, 0)}, Code.KERNEL_TOO_LARGE, "height: 4 + 1 + 1 = 6 < 7"),
        ((3, 9, 9), {"kernel": (3, 5), "dilation": (1, 3)}, Code.KERNEL_TOO_LARGE, "3*(5 - 1) + 1 = 13"),
        ((3, 9, 9), {"groups": 2}, Code.SHAPE_MISMATCH, "3/2 = 1.5"),
        ((4, 9, 9), {"groups": 4}, Code.SHAPE_MISMATCH, "6/4 = 1.5"),
        ((36,), {}, Code.BAD_RANK, "put the `conv` before the `flatten`"),
        ((3, 8, 8), {"stride": (2, 2), "round": "exact"}, Code.INEXACT_SIZE, "(8 - 3)/2 + 1 = 3.5"),
        ((3, 9, 9), {"channels": 2**30}, Code.LIMIT_SIZE, "elements"),
        ((3, 9, 9), {"channels": 10**30, "pad": (10**40,) * 4}, Code.LIMIT_SIZE, "elements"),
    ],
)
def test_errors_show_the_arithmetic(shape: Any, attrs: Any, code: Code, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        infer_types("conv", {"channels": 6, "kernel": (3, 3), **attrs}, [batched(*shape)])
    error = caught.value
    assert error.code is code
    assert text in " | ".join([error.title, error.label, *error.notes, error.help or "", *error.operand_notes.values()])


def test_dropped_pixels() -> None:
    def notes(size: int, **attrs: Any) -> list[str]:
        types = [batched(1, size, 12), weight(1, 1, *attrs["kernel"])]
        resolved, outputs = infer_types("conv", {"channels": 1, **attrs}, types)
        return [note for item in get("conv").warnings(Call(resolved, tuple(types), outputs)) for note in item.notes]

    assert notes(7, kernel=(3, 3), stride=(3, 3)) == ["height: (7 - 3)/3 + 1 = 2.33"]
    assert notes(8, kernel=(3, 3), stride=(2, 1)) == ["height: (8 - 3)/2 + 1 = 3.5"]
    assert notes(224, kernel=(7, 1), stride=(2, 1), pad=(3, 3, 0, 0)) == []
    # A 1x1 window at stride 2 skips every second pixel anyway: the last one too is no surprise.
    assert notes(56, kernel=(1, 1), stride=(2, 1)) == []
    assert notes(9, kernel=(1, 1), stride=(4, 1)) == []


def test_deconv_refuses_what_its_gradient_would_not_undo() -> None:
    with pytest.raises(ShapeError, match="output_pad"):
        infer_types("deconv", {"channels": 1, "kernel": (3, 3), "output_pad": (1, 1)}, [batched(1, 4, 4)])
    with pytest.raises(ShapeError, match="leave nothing"):
        infer_types("deconv", {"channels": 1, "kernel": (1, 1), "pad": (2, 2, 0, 0)}, [batched(1, 4, 4)])


def test_fc() -> None:
    torch = pytest.importorskip("torch")
    op = OneOp("fc", [batched(7), weight(4, 7), weight(4)], {"features": 4})
    check_torch(op, arrays_for(op), torch.nn.functional.linear)
    with pytest.raises(ShapeError) as caught:
        infer_types("fc", {"features": 4}, [batched(7, 2, 2)])
    assert caught.value.code is Code.BAD_RANK and caught.value.help == "write `-> flatten -> fc(...)`"
