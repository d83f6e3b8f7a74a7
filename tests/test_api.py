"""The Python interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.diagnostics import ResourceLimit
from netdsl.reference import Interpreter
from tests.cli.support import SMALL

LINEAR = """\
net Linear { input image: [1, 8, 8]
    output logits = image -> flatten -> fc(10) }
train Linear {
    target label: class
    loss cross_entropy(logits, label)
    sgd(lr = 0.5)
    batch 64
    epochs 2
    metric top1(logits, label)
}
"""


@pytest.fixture
def net(tmp_path: Path) -> netdsl.Network:
    path = tmp_path / "small.net"
    path.write_text(SMALL)
    return netdsl.load(path, features=5)


def test_load(net: netdsl.Network) -> None:
    assert net.name == "Small"
    assert net.inputs == {"x": (4,)} and net.outputs == {"y": (5,)}
    assert net.parameters["fc2.weight"] == (5, 8)
    assert net.report().totals.params == 4 * 8 + 8 + 8 * 5 + 5
    assert net.report().to_json()["net"] == "Small"
    assert str(net.report(batch=2)).startswith("Small: x [4] -> y [5]")


def test_errors_are_exceptions(tmp_path: Path, net: netdsl.Network) -> None:
    with pytest.raises(netdsl.UserError, match="no file"):
        netdsl.load(tmp_path / "none.net")
    with pytest.raises(netdsl.UserError, match="no target `gpu`"):
        netdsl.compile(net, target="gpu")
    with pytest.raises(netdsl.UserError, match="weights"):
        netdsl.compile(net, weights={"fc1.weight": np.zeros((8, 4), np.float32)})


def test_calls_equal_the_reference(net: netdsl.Network) -> None:
    run = netdsl.compile(net, batch=3, weights=7, threads=2)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    expected = Interpreter(net.graph).run({"x": x}, net.initial_parameters(7)).outputs["y"]
    np.testing.assert_allclose(run(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run(x=x), run(x))
    np.testing.assert_array_equal(run.run({"x": x})["y"], run(x))
    np.testing.assert_array_equal(netdsl.compile(net, batch=3, weights=7, threads=1)(x), run(x))


class Foreign:
    """A tensor of another library: no array interface, only DLPack."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def test_what_arrays_may_be(net: netdsl.Network) -> None:
    run = netdsl.compile(net, batch=2)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    expected = run(x)
    for same in (x.astype(np.float64), x.astype(np.int64), x.tolist(), np.asfortranarray(x), Foreign(x)):
        np.testing.assert_array_equal(run(same), expected)


def test_inputs_that_do_not_fit(net: netdsl.Network) -> None:
    run = netdsl.compile(net, batch=2)
    x = np.zeros((2, 4), np.float32)
    for arrays, named, message in [
        ((x[0],), {}, r"\[2, 4\]"),
        ((x[:1],), {}, r"\[2, 4\]"),
        ((x, x), {}, "2 arrays"),
        ((x,), {"x": x}, "twice"),
        ((), {}, "inputs are x"),
        ((), {"z": x}, "inputs are x"),
        ((x.astype(complex),), {}, "complex"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(*arrays, **named)


def test_weights_by_name_and_from_a_file(net: netdsl.Network, tmp_path: Path) -> None:
    from netdsl.weights import write_tensors

    weights = net.initial_parameters(3)
    write_tensors(tmp_path / "w.safetensors", weights, {})
    x = np.ones((1, 4), np.float32)
    expected = netdsl.compile(net, weights=3)(x)
    np.testing.assert_array_equal(netdsl.compile(net, weights=weights)(x), expected)
    np.testing.assert_array_equal(netdsl.compile(net, weights=tmp_path / "w.safetensors")(x), expected)
    run = netdsl.compile(net)
    assert not np.array_equal(run(x), expected)
    run.set_parameters(weights)
    np.testing.assert_array_equal(run(x), expected)
    np.testing.assert_array_equal(run.get_parameters()["fc1.weight"], weights["fc1.weight"])


def test_several_outputs_are_a_dict(tmp_path: Path) -> None:
    path = tmp_path / "two.net"
    path.write_text("net Two { input a, b: [3]\noutput s = add(a, b)\noutput r = a -> relu }")
    run = netdsl.compile(path)
    a, b = np.float32([[1, -2, 3]]), np.float32([[4, 5, 6]])
    outputs = run(a, b=b)
    np.testing.assert_array_equal(outputs["s"], a + b)
    np.testing.assert_array_equal(outputs["r"], np.maximum(a, 0))


def test_what_the_package_offers() -> None:
    assert {"load", "compile", "Trainer", "Network"} <= set(dir(netdsl))
    assert isinstance(netdsl.__version__, str)
    with pytest.raises(AttributeError, match="nothing"):
        _ = netdsl.nothing


def test_a_plan_larger_than_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "large.net"
    path.write_text("net Large { input x: [16, 9999, 9999]\noutput y = x -> conv(2, 3x3, pad=1) -> relu }")
    with pytest.raises(ResourceLimit, match="GiB at batch 4096"):
        netdsl.compile(path, batch=4096)


def test_train_a_loaded_network(tmp_path: Path) -> None:
    path = tmp_path / "linear.net"
    path.write_text(LINEAR)
    result = netdsl.Trainer(netdsl.load(path), "digits", out=tmp_path / "run").fit()
    assert result.test["top1"] > 0.7


def test_an_error_shows_its_place(tmp_path: Path) -> None:
    path = tmp_path / "slip.net"
    path.write_text("net Slip { input x: [3]\noutput y = x -> rleu }")
    with pytest.raises(netdsl.UserError) as caught:
        netdsl.load(path)
    assert f"{path}:2:17" in str(caught.value) and "did you mean `relu`?" in str(caught.value)
