"""Calls that make no sense raise ValueError (or UserError) and say what is wrong; odd arrays are taken as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.driver import MAX_THREADS
from tests.cli.support import SMALL


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> netdsl.Network:
    path = tmp_path_factory.mktemp("nets") / "small.net"
    path.write_text(SMALL)
    return netdsl.load(path)


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"batch": -1},
        {"batch": 1.5},
        {"batch": "2"},
        {"threads": 0},
        {"threads": -1},
        {"threads": 1.5},
        {"threads": MAX_THREADS + 1},
        {"weights": -1},
        {"weights": 1.5},
        {"weights": [1, 2]},
    ],
)
def test_compiling_with_impossible_numbers(net: netdsl.Network, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        netdsl.compile(net, **options)


def test_more_memory_than_there_is(net: netdsl.Network) -> None:
    with pytest.raises(netdsl.UserError) as caught:
        netdsl.compile(net, batch=2**31 - 1)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        [[1], [1, 2]],
        [["a"] * 4] * 2,
        {"x": 1},
        np.zeros((2, 4), bool),
        np.zeros((2, 4), "M8[s]"),
        np.zeros((2, 4), complex),
        np.full((2, 4), None),
        np.zeros((1, 4)),
        np.zeros((3, 4)),
        np.zeros((4, 2)),
        np.zeros((2, 4, 1)),
        np.zeros(8),
    ],
    ids=repr,
)
def test_inputs_that_are_none(net: netdsl.Network, value: Any) -> None:
    run = netdsl.compile(net, batch=2)
    with pytest.raises(ValueError):
        run(value)


def test_any_memory_layout(net: netdsl.Network) -> None:
    """Arrays that end where the process may not read are covered by tests/e2e/test_memory.py."""
    run = netdsl.compile(net, batch=2)
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    wide = np.zeros((4, 9), np.float32)
    wide[::2, 1::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    odd = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(2, 4)
    expected = run(x)
    for same in (wide[::2, 1::2], x[::-1].copy()[::-1], frozen, odd, x.astype(">f4"), x.T.copy().T, list(x)):
        np.testing.assert_array_equal(run(same), expected)
    np.testing.assert_array_equal(run(np.broadcast_to(x[:1], (2, 4))), run(np.repeat(x[:1], 2, axis=0)))


def test_results_are_the_callers(net: netdsl.Network) -> None:
    run = netdsl.compile(net, batch=1)
    first = run(np.ones((1, 4)))
    kept = first.copy()
    run(np.zeros((1, 4)))
    np.testing.assert_array_equal(first, kept)
    first[:] = 7
    np.testing.assert_array_equal(run(np.ones((1, 4))), kept)


def test_a_refused_weight_changes_nothing(net: netdsl.Network) -> None:
    run = netdsl.compile(net, weights=1)
    x = np.ones((1, 4))
    expected = run(x)
    for wrong in ({"none": x}, {"fc1.bias": np.zeros(3)}, {"fc1.bias": np.zeros(8), "fc2.bias": np.zeros(1)}):
        with pytest.raises((ValueError, KeyError)):
            run.set_parameters(wrong)
        np.testing.assert_array_equal(run(x), expected)


def test_numbers_of_numpy_are_numbers(net: netdsl.Network) -> None:
    assert netdsl.load("zoo:lenet5", classes=np.int64(7)).outputs == {"probs": (7,)}
    assert netdsl.compile(net, batch=np.int32(2), threads=np.int64(1))(np.zeros((2, 4))).shape == (2, 3)


@pytest.mark.parametrize(
    "options",
    [{"batch": 0}, {"epochs": 0}, {"epochs": -1}, {"seed": -1}, {"seed": 2**31}, {"threads": 0}, {"batch": 1.5}],
)
def test_training_with_impossible_numbers(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        netdsl.Trainer("zoo:lenet5", "digits", out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_tensors_that_cannot_be_shared(net: netdsl.Network) -> None:
    torch = pytest.importorskip("torch")
    run = netdsl.compile(net, batch=2)
    x = torch.arange(8, dtype=torch.float32).reshape(4, 2)
    np.testing.assert_array_equal(run(x.T), run(np.ascontiguousarray(x.numpy().T)))
    for wrong in (torch.zeros(2, 4, requires_grad=True), torch.zeros(2, 4, dtype=torch.bfloat16)):
        with pytest.raises(ValueError, match="DLPack"):
            run(wrong)
