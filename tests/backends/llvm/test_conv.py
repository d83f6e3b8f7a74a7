"""Convolutions, deconvolutions, fully connected layers and all their gradients, over random shapes and targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from netdsl.ir.scalar import Const, Expr, Var, exp, maximum
from netdsl.ir.types import TensorType
from netdsl.ops import Call, infer_types
from netdsl.plan.layout import Blocked
from netdsl_llvm.filters import conv_filter
from netdsl_llvm.kernels import conv as kernels
from netdsl_llvm.target import Target
from tests.backends.llvm.harness import TARGETS, check, compiled, random_arrays, single_op
from tests.backends.llvm.step_harness import Operand, compile_step

TOLERANCE = 2e-5
few = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
targets = st.sampled_from(TARGETS)
batches = st.integers(1, 3)
small = st.integers(0, 2)

Case = tuple[dict[str, Any], TensorType, TensorType]


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Arguments of a convolution, its input and its weight."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    per_group = draw(st.integers(1, 40 // groups))
    out_per_group = draw(st.integers(1, 70 // groups))
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    pad = tuple(draw(small) for _ in range(4))
    height, width = draw(st.integers(1, 15)), draw(st.integers(1, 33))
    assume(height + pad[0] + pad[1] > dilation[0] * (kernel[0] - 1))
    assume(width + pad[2] + pad[3] > dilation[1] * (kernel[1] - 1))
    attrs = {
        "channels": groups * out_per_group,
        "kernel": kernel,
        "stride": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "pad": pad,
        "dilation": dilation,
        "groups": groups,
        "bias": False,
        "round": "floor",
    }
    x = TensorType((groups * per_group, height, width))
    return attrs, x, TensorType((attrs["channels"], per_group, *kernel), False)


def vector(length: int) -> TensorType:
    return TensorType((length,), False)


def result_of(op: str, attrs: Mapping[str, Any], *inputs: TensorType) -> TensorType:
    return infer_types(op, attrs, inputs)[1][0]


@few
@given(convolutions(), batches, targets, st.booleans())
def test_conv(case: Case, batch: int, target: str, bias: bool) -> None:
    attrs, x, weight = case
    biases = [vector(attrs["channels"])] if bias else []
    check("conv", {**attrs, "bias": bias}, [x, weight, *biases], target=target, batch=batch, tolerance=TOLERANCE)


@few
@given(convolutions(), batches, targets)
def test_conv_gradients(case: Case, batch: int, target: str) -> None:
    attrs, x, weight = case
    g = result_of("conv", attrs, x, weight)
    attrs = {name: attrs[name] for name in ("kernel", "stride", "pad", "dilation", "groups")}
    check("conv_grad_weight", attrs, [g, x], target=target, batch=batch, tolerance=TOLERANCE)
    check("conv_grad_input", {**attrs, "shape": x.shape}, [g, weight], target=target, batch=batch, tolerance=TOLERANCE)


@few
@given(convolutions(), batches, targets, st.booleans())
def test_deconv(case: Case, batch: int, target: str, bias: bool) -> None:
    """The weight of a deconvolution lies the other way round: (inputs, outputs / groups, ...)."""
    attrs, x, weight = case
    inner = attrs["channels"] // attrs["groups"]
    rows = (x.shape[1] - 1) * attrs["stride"][0] + attrs["dilation"][0] * (attrs["kernel"][0] - 1) + 1
    cols = (x.shape[2] - 1) * attrs["stride"][1] + attrs["dilation"][1] * (attrs["kernel"][1] - 1) + 1
    assume(rows > sum(attrs["pad"][:2]) and cols > sum(attrs["pad"][2:]))
    kinds = [x, TensorType((x.shape[0], inner, *weight.shape[2:]), False)]
    if bias:
        kinds.append(vector(attrs["channels"]))
    del attrs["round"]
    check("deconv", {**attrs, "bias": bias}, kinds, target=target, batch=batch, tolerance=TOLERANCE)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("channels", "groups"), [(21, 21), (24, 12), (36, 9), (40, 5)], ids=str)
def test_small_groups(channels: int, groups: int, stride: int, target: str) -> None:
    """As many results as inputs in each group: registers hold several groups."""
    attrs = {"kernel": (3, 2), "stride": (stride, 1), "pad": (1, 1, 0, 1), "dilation": (1, 1), "groups": groups}
    layer = {**attrs, "channels": channels, "bias": True}
    x, weight = TensorType((channels, 9, 17)), TensorType((channels, channels // groups, 3, 2), False)
    y = result_of("conv", {**layer, "round": "floor"}, x, weight)
    kinds = [x, weight, vector(channels)]
    check("conv", {**layer, "round": "floor"}, kinds, target=target, batch=2, tolerance=TOLERANCE)
    check("deconv", layer, kinds, target=target, batch=2, tolerance=TOLERANCE)
    check("conv_grad_input", {**attrs, "shape": x.shape}, [y, weight], target=target, batch=2, tolerance=TOLERANCE)
    check("conv_grad_weight", attrs, [y, x], target=target, batch=2, tolerance=TOLERANCE)


@few
@given(st.integers(1, 80), st.integers(1, 150), st.integers(1, 17), targets, st.booleans())
def test_fc(length: int, features: int, batch: int, target: str, bias: bool) -> None:
    x, y, weight = TensorType((length,)), TensorType((features,)), TensorType((features, length), False)
    biases = [vector(features)] if bias else []
    attrs = {"features": features, "bias": bias}
    check("fc", attrs, [x, weight, *biases], target=target, batch=batch, tolerance=TOLERANCE)
    check("fc_grad_input", {}, [y, weight], target=target, batch=batch, tolerance=TOLERANCE)
    check("fc_grad_weight", {}, [y, x], target=target, batch=batch, tolerance=TOLERANCE)


EPILOGUES: dict[str, tuple[Expr, list[tuple[int, ...]]]] = {
    "relu": (maximum(Var(0), 0.0), []),
    "residual": (maximum(Var(0) + Var(1), 0.0), [(20, 7, 9)]),
    "scale": (Var(0) * Var(1) + Var(2), [(20,), (20, 1, 1)]),
    "not zero at zero": (exp(Var(0) * 0.1) + Const(1.0), []),
    "one channel": (Var(0) + Var(1), [(1, 7, 9)]),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", list(EPILOGUES))
@pytest.mark.parametrize("kernel", [1, 3])
def test_epilogue(kernel: int, name: str, target: str) -> None:
    expr, shapes = EPILOGUES[name]
    attrs = {
        "channels": 20, "kernel": (kernel, kernel), "stride": (1, 1), "pad": (kernel // 2,) * 4, "dilation": (1, 1),
        "groups": 1, "bias": False, "round": "floor",
    }  # fmt: skip
    kinds = [TensorType((9, 7, 9)), TensorType((20, 9, kernel, kernel), False), *(TensorType(s) for s in shapes)]
    check("conv", attrs, kinds, target=target, batch=2, tolerance=TOLERANCE, epilogue=expr, extra=len(shapes))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("expr", [None, exp(Var(0))], ids=["plain", "exp"])
def test_channels_beyond_the_last_are_zero(expr: Expr | None, target: str) -> None:
    machine = Target.named(target)
    attrs = {"kernel": (3, 3), "stride": (1, 1), "pad": (0,) * 4, "dilation": (1, 1), "groups": 1}
    x, weight, y = TensorType((5, 6, 8)), TensorType((37, 5, 3, 3), False), TensorType((37, 4, 6))
    packed = conv_filter(machine, Call(attrs, (x, weight), (y,)), 1)
    rng = np.random.default_rng(0)
    inputs = [
        Operand(rng.standard_normal((1, *x.shape)), x, Blocked.of(x, 1, machine.lanes)),
        Operand(rng.standard_normal(weight.shape), weight, packed),
    ]
    output = Operand(np.ones((1, *y.shape)), y, Blocked.of(y, 1, machine.lanes))
    step = compile_step(machine, kernels.emit_conv, "conv", attrs, inputs, output, expr)
    step.memory[2][:] = np.nan
    step.run(threads=2)
    assert np.isfinite(step.result()).all()


@pytest.mark.parametrize("op", ["conv", "conv_grad_weight", "conv_grad_input"])
def test_threads_do_not_change_bits(op: str) -> None:
    attrs = {"kernel": (3, 3), "stride": (2, 1), "pad": (1,) * 4, "dilation": (1, 1), "groups": 1}
    x, weight, g = TensorType((19, 11, 13)), TensorType((50, 19, 3, 3), False), TensorType((50, 6, 13))
    kinds = {"conv": [x, weight], "conv_grad_weight": [g, x], "conv_grad_input": [g, weight]}[op]
    extra = {"conv": {"channels": 50, "bias": False, "round": "floor"}, "conv_grad_input": {"shape": x.shape}}.get(
        op, {}
    )
    graph = single_op(op, {**attrs, **extra}, kinds)
    arrays = random_arrays(kinds, 3)
    results = [compiled(graph, TARGETS[0], 3, threads).run(arrays)["y0"] for threads in (1, 2, 3)]
    assert all(np.array_equal(results[0], other) for other in results[1:])
