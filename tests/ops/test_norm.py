from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.ir.graph import Graph
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder
from netdsl.ops.base import TrainingContext, get
from netdsl.reference import Interpreter
from tests.ops.support import OneOp, batched, check_differences, check_torch, weight

EPS = 1e-3


def bn_arrays(shape: tuple[int, ...], seed: int = 0) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    channels = shape[0]
    small = [rng.standard_normal(channels) for _ in range(3)]
    return [rng.standard_normal((3, *shape)) * 2 + 1, *small, rng.uniform(0.5, 2, channels)]


@pytest.mark.parametrize("shape", [(4,), (3, 2, 5)])
def test_bn_at_inference(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    op = OneOp("bn", [batched(*shape), *[weight(shape[0])] * 4], {"eps": EPS})

    def function(x: Any, gamma: Any, beta: Any, mean: Any, var: Any) -> Any:
        view = (1, -1, *[1] * (x.ndim - 2))
        scaled = (x - mean.view(view)) / torch.sqrt(var + EPS).view(view)
        return scaled * gamma.view(view) + beta.view(view)

    check_torch(op, bn_arrays(shape), function)
    x, gamma, beta, mean, var = map(torch.tensor, bn_arrays(shape))
    library = torch.nn.functional.batch_norm(x, mean, var, gamma, beta, eps=EPS)
    np.testing.assert_allclose(op.run(bn_arrays(shape))[0], library.numpy(), rtol=1e-10)


@settings(max_examples=10, deadline=None)
@given(
    shape=st.sampled_from([(4,), (3, 2, 5), (1, 1, 1)]),
    momentum=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 9),
)
def test_bn_in_training(shape: tuple[int, ...], momentum: float, seed: int) -> None:
    torch = pytest.importorskip("torch")
    attrs = {"eps": EPS, "momentum": momentum}
    op = OneOp("bn_train", [batched(*shape), *[weight(shape[0])] * 4], attrs)
    arrays = bn_arrays(shape, seed)

    def function(x: Any, gamma: Any, beta: Any, mean: Any, var: Any) -> Any:
        running = mean.detach().clone(), var.detach().clone()
        return torch.nn.functional.batch_norm(x, *running, gamma, beta, True, momentum, EPS)

    check_torch(op, arrays, function, rtol=1e-8)
    x, gamma, beta, mean, var = map(torch.tensor, arrays)
    torch.nn.functional.batch_norm(x, mean, var, gamma, beta, True, momentum, EPS)
    new = Interpreter(op.graph).run(op.feed(arrays), {}, keep=op.node.outputs).values
    np.testing.assert_allclose(new[op.node.outputs[3]], mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(new[op.node.outputs[4]], var.numpy(), rtol=1e-12)


def test_bn_in_training_by_differences() -> None:
    op = OneOp("bn_train", [batched(2, 2, 3), *[weight(2)] * 4], {"eps": EPS, "momentum": 0.1})
    check_differences(op, bn_arrays((2, 2, 3)))


def test_variance_of_values_far_from_zero() -> None:
    """Two passes: the mean is taken away before squaring, so 1e4 +- 1e-2 keeps its variance in float32."""
    op = OneOp("bn_train", [batched(1), *[weight(1)] * 4], {"eps": 0.0, "momentum": 0.1})
    x = np.array([[9999.99], [10000.0], [10000.01]])
    y, _ = op.run([x, np.ones(1), np.zeros(1), np.zeros(1), np.ones(1)], np.float32)
    np.testing.assert_allclose(y[:, 0], np.sqrt(1.5) * np.array([-1, 0, 1]), atol=0.1)


def test_a_layer_used_twice_moves_its_statistics_twice() -> None:
    graph = Graph("shared")
    build = builder(graph)
    x = build.input("x", batched(2))
    specs = get("bn").parameters({}, [x.type])
    params = [build.param(f"bn.{s.name}", s.shape, {"init": s.init, "trainable": s.trainable}) for s in specs]
    counter = build.input("step", TensorType((), False, DType.I32))
    context = TrainingContext(counter, counter)
    value = x
    for _ in range(2):
        node = builder(Graph("scratch")).op("bn", [value, *params], name="bn1")
        results = get("bn").training(build, node, [value, *params], context)
        assert results is not None
        value = results[0]
    first, second = (node for node in graph.nodes if node.op == "bn_train")
    assert second.inputs[3:] == list(first.outputs[3:])
    assert context.updates == {"bn.running_mean": second.outputs[3], "bn.running_var": second.outputs[4]}


@settings(max_examples=15, deadline=None)
@given(channels=st.integers(1, 9), size=st.integers(1, 11), beta=st.sampled_from([0.5, 0.75, 1.0]))
def test_lrn(channels: int, size: int, beta: float) -> None:
    torch = pytest.importorskip("torch")
    attrs = {"size": size, "alpha": 0.9, "beta": beta, "k": 1.5}
    op = OneOp("lrn", [batched(channels, 2, 3)], attrs)
    arrays = [np.random.default_rng(size).standard_normal((3, channels, 2, 3)) * 3]
    check_torch(op, arrays, lambda x: torch.nn.functional.local_response_norm(x, size, 0.9, beta, 1.5))


@pytest.mark.parametrize("size", [1, 4, 5])
def test_lrn_by_differences(size: int) -> None:
    op = OneOp("lrn", [batched(6, 1, 2)], {"size": size, "alpha": 0.9, "beta": 0.75, "k": 1.5})
    check_differences(op, [np.random.default_rng(0).standard_normal((3, 6, 1, 2)) * 2])
