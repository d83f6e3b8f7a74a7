"""Weights packed by compiled code are what NumPy packs: the same bits, and for Winograd's filters one ulp."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.diagnostics import UserError
from netdsl.ir.graph import Graph
from netdsl.ir.types import TensorType
from netdsl.passes import run_passes
from netdsl.reference import evaluate_weights
from netdsl.weights import read_tensors, write_tensors
from netdsl.weights.initialize import initial_parameters
from netdsl_llvm import packing
from netdsl_llvm.executor import CpuExecutor
from netdsl_llvm.layouts import GroupedFilter, PackedFilter
from netdsl_llvm.winograd_filter import WinogradFilter
from tests.backends.llvm.harness import TARGETS
from tests.backends.llvm.test_random_networks import executor
from tests.networks import NetBuilder
from tests.passes.nets import draw
from tests.passes.test_random_nets import training_step

few = settings(max_examples=40, deadline=None)
LANES = st.sampled_from([4, 8, 16])
KERNELS = st.sampled_from([(), (1, 1), (3, 3), (1, 4), (7, 7)])


@st.composite
def packed(draw: st.DrawFn) -> PackedFilter:
    kernel, lanes = draw(KERNELS), draw(LANES)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3])) if kernel else 1
    inputs, outputs = groups * draw(st.integers(1, 40)), groups * draw(st.integers(1, 70))
    vectors = draw(st.integers(1, 4)) if groups == 1 else 1
    return PackedFilter(outputs, inputs, kernel, groups, lanes, vectors, min(lanes, inputs), draw(st.booleans()))


@st.composite
def grouped(draw: st.DrawFn) -> GroupedFilter:
    group, kernel = draw(st.sampled_from([1, 2, 4])), draw(KERNELS)
    return GroupedFilter(group * draw(st.integers(1, 20)), group, kernel, draw(LANES), draw(st.booleans()))


@st.composite
def transformed(draw: st.DrawFn) -> WinogradFilter:
    results, kernel = draw(st.sampled_from([(2, 3), (4, 3), (2, 5)]))
    lanes, vectors, groups = draw(LANES), draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
    if groups == 1:
        return WinogradFilter(draw(st.integers(1, 70)), draw(st.integers(1, 40)), kernel, 1, lanes, vectors, results)
    outputs, inputs = lanes * vectors * draw(st.integers(1, 2)), lanes * draw(st.integers(1, 2))
    return WinogradFilter(groups * outputs, groups * inputs, kernel, groups, lanes, vectors, results)


def arrays(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight over many orders of magnitude, and factors for its rows."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(shape) * 10.0 ** rng.integers(-20, 10, shape)
    return weight.astype(np.float32), rng.standard_normal(shape[0]) * 10.0 ** rng.integers(-6, 6, shape[0])


def both(
    layout: PackedFilter | GroupedFilter | WinogradFilter, weight: np.ndarray, factors: np.ndarray | None, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """What is packed here, in memory with a guard before and behind, and what NumPy packs."""
    guarded = np.full(layout.size + 64, 7.0, np.float32)
    guarded[32:-32] = 0.0
    packing.pack(layout, weight, factors, guarded[32:-32], threads)
    assert (guarded[:32] == 7.0).all()
    assert (guarded[-32:] == 7.0).all()
    wide = weight.astype(np.float64)
    scaled = wide if factors is None else wide * factors.reshape(-1, *[1] * (weight.ndim - 1))
    return guarded[32:-32], layout.pack(scaled)


@few
@given(st.one_of(packed(), grouped()), st.integers(0, 1 << 20), st.booleans(), st.sampled_from([1, 2, 3]))
def test_filters_have_the_bits_that_numpy_gives(
    layout: PackedFilter | GroupedFilter, seed: int, scaled: bool, threads: int
) -> None:
    rows = layout.shape[0]
    weight, factors = arrays(layout.shape, seed)
    got, wanted = both(layout, weight, factors[:rows] if scaled else None, threads)
    np.testing.assert_array_equal(got.view(np.int32), wanted.view(np.int32))


@few
@given(transformed(), st.integers(0, 1 << 20), st.booleans(), st.sampled_from([1, 2, 3]))
def test_transformed_filters_are_one_ulp_from_numpys(
    layout: WinogradFilter, seed: int, scaled: bool, threads: int
) -> None:
    """Beside it, sums that cancel keep the float64 rounding of their terms."""
    weight, factors = arrays(layout.shape, seed)
    got, wanted = both(layout, weight, factors if scaled else None, threads)
    largest = np.abs(weight * factors.reshape(-1, 1, 1, 1) if scaled else weight).max(initial=0.0)
    np.testing.assert_array_less(np.abs(got - wanted), np.spacing(np.abs(wanted)) * 1.01 + 1e-13 * largest + 1e-44)
    np.testing.assert_array_equal(got[wanted == 0.0], 0.0)


def test_ends_of_the_range_and_what_is_not_finite() -> None:
    layout = PackedFilter(5, 20, (), 1, 8, 2, 8)
    weight = np.ones(layout.shape, np.float32)
    weight[0, :4] = [np.nan, np.inf, -np.inf, -0.0]
    weight[1] = np.finfo(np.float32).tiny
    weight[2] = np.finfo(np.float32).max
    with np.errstate(over="ignore", invalid="ignore"):
        got, wanted = both(layout, weight, np.array([1.0, 0.3, 2.0, np.inf, np.nan]), 1)
    np.testing.assert_array_equal(got, wanted)
    assert np.signbit(layout.unpack(got)[0, 3])


def network() -> Graph:
    """Batch norms behind layers of every kind of filter."""
    net = NetBuilder("net")
    x = net.input("image", TensorType((3, 28, 28)))
    for name, channels, kernel, args in [
        ("first", 32, 7, {}),
        ("square", 64, 3, {"pad": 1}),
        ("point", 48, 1, {"bias": True}),
        ("groups", 48, 3, {"groups": 3}),
        ("pairs", 48, 3, {"groups": 24}),
        ("depthwise", 48, 5, {"groups": 48}),
    ]:
        x = net.layer(f"{name}_bn", "bn", net.conv(name, x, channels, kernel, **args))
    x = net.layer("deconv", "deconv", x, channels=24, kernel=(3, 3), groups=2)
    x = net.layer("relu", "relu", net.layer("deconv_bn", "bn", x))
    x = net.layer("fc", "fc", net.layer("flat", "flatten", x), features=50)
    x = net.layer("fc_bn", "bn", x)
    net.graph.outputs = {"y": x}
    return run_passes(net.graph)[0]


def assert_holds(run: CpuExecutor, graph: Graph, parameters: dict[str, np.ndarray]) -> None:
    """Its memory has what the interpreter computes from the parameters, packed by NumPy."""
    values = {**evaluate_weights(graph, parameters), **parameters}
    memory = run._program._weights
    for weight in run._program.plan.weights:
        got = memory[weight.offset : weight.offset + weight.layout.size]
        wanted = weight.layout.pack(values[weight.name].reshape(weight.type.shape)).view(np.float32)
        if isinstance(weight.layout, WinogradFilter):
            np.testing.assert_allclose(got, wanted, rtol=1.3e-7, atol=1e-13)
        else:
            np.testing.assert_array_equal(got.view(np.int32), wanted.view(np.int32), err_msg=weight.name)


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_holds_the_weights_that_the_interpreter_gives(target: str, tmp_path: Path) -> None:
    """Read from a file, replaced in part, and given back as they came."""
    graph = network()
    given, other = (dict(initial_parameters(graph.params, seed)) for seed in (0, 1))
    write_tensors(tmp_path / "w", given, {})
    run = executor(graph, read_tensors(tmp_path / "w").tensors, target, 1, 2)
    assert_holds(run, graph, given)
    changed = {name: other[name] for name in list(other)[::2]}
    run.set_parameters(changed)
    assert_holds(run, graph, {**given, **changed})
    for name, array in run.get_parameters().items():
        np.testing.assert_array_equal(array, {**given, **changed}[name])
        array[...] = 0.0  # a copy: nobody else sees it
    run.set_parameters(given)
    assert_holds(run, graph, given)


def test_a_weights_file_that_is_written_into_is_not_read_again(tmp_path: Path) -> None:
    net = NetBuilder("net")
    net.graph.outputs = {"y": net.layer("fc", "fc", net.input("x", TensorType((40,))), features=30)}
    given = dict(initial_parameters(net.graph.params, 0))
    write_tensors(tmp_path / "w", given, {})
    run = executor(net.graph, read_tensors(tmp_path / "w").tensors, "sse4", 1, 1)
    write_tensors(tmp_path / "w", given, {})  # another file of the same name
    np.testing.assert_array_equal(run.get_parameters()["fc.weight"], given["fc.weight"])
    run = executor(net.graph, read_tensors(tmp_path / "w").tensors, "sse4", 1, 1)
    os.truncate(tmp_path / "w", 100)
    for use in (run.get_parameters, lambda: run.set_parameters({"fc.bias": given["fc.bias"]})):
        with pytest.raises(UserError, match="written into"):
            use()
    assert run.step({"x": np.zeros((1, 40), np.float32)})["y"].shape == (1, 30)


def test_a_training_step_keeps_what_it_is_not_given() -> None:
    net = NetBuilder("net")
    x = net.input("x", TensorType((40,)))
    x = net.layer("fc2", "fc", net.layer("act", "tanh", net.layer("fc1", "fc", x, features=30)), features=20)
    net.graph.outputs = {"y": x}
    graph = training_step(net.graph)
    given, other = (dict(initial_parameters(graph.params, seed)) for seed in (0, 1))
    run = executor(graph, given, "sse4", 3, 2)
    inputs = {node.name: draw(node.name, node.types[0].full_shape(3)).astype(np.float32) for node in graph.inputs}
    run.step({**inputs, "step": np.int32(0), "seed": np.int32(0)})
    trained = run.get_parameters()
    run.set_parameters({"fc1.weight": other["fc1.weight"]})
    for name, array in run.get_parameters().items():
        np.testing.assert_array_equal(array, other[name] if name == "fc1.weight" else trained[name], err_msg=name)
    with pytest.raises(ValueError, match=r"fc1\.weight is \(3,\)"):
        run.set_parameters({"fc1.weight": np.zeros(3, np.float32)})
    with pytest.raises(KeyError):
        run.set_parameters({"absent": np.zeros(3, np.float32)})


FIRST_RESULT = """
import netdsl, numpy
print(netdsl.compile("zoo:lenet5", threads=2)(numpy.ones((1, 1, 32, 32), "f4")).tobytes().hex())
"""


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-9], lambda c: b"\x7fELF" + c, lambda c: b""], ids=["cut", "foreign", "empty"]
)
def test_damaged_objects_are_made_again(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    def run() -> str:
        environment = {**os.environ, "NETDSL_CACHE_DIR": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", FIRST_RESULT], env=environment, check=True, capture_output=True, text=True
        ).stdout

    first = run()
    objects = {path: path.read_bytes() for path in (tmp_path / "objects").iterdir()}
    assert len(objects) >= 2  # of the network and of the packing
    for path, content in objects.items():
        path.write_bytes(damage(content))
    assert run() == first
    assert {path: path.read_bytes() for path in objects} == objects
