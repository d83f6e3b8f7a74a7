"""One op in a graph: run it, differentiate it, and compare with central differences or another implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdsl.autodiff import gradients
from netdsl.ir.graph import Graph, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder, verify
from netdsl.reference import Interpreter

Array = np.ndarray[Any, Any]
BATCH = 3


def batched(*shape: int) -> TensorType:
    return TensorType(shape)


def weight(*shape: int) -> TensorType:
    return TensorType(shape, False)


def labels(*shape: int) -> TensorType:
    return TensorType(shape, True, DType.I32)


def random_array(rng: np.random.Generator, type: TensorType, batch: int = BATCH) -> Array:
    if type.dtype is DType.I32:
        return rng.integers(0, 2, type.full_shape(batch), dtype=np.int32)
    return rng.standard_normal(type.full_shape(batch))


@dataclass
class OneOp:
    """A graph with one op over inputs ``x0``, ``x1``, ..., and as loss the op itself if it is one number, or else the
    mean square of its distance from a random target."""

    op: str
    types: Sequence[TensorType]
    attrs: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.graph = Graph("one")
        build = builder(self.graph)
        self.inputs = [build.input(f"x{i}", type) for i, type in enumerate(self.types)]
        self.node = build.op(self.op, self.inputs, self.attrs, name="op")
        self.loss = self._loss()
        self.graph.outputs = {"y": self.node.output, "loss": self.loss}
        self.grads = self._gradients()
        assert verify(self.graph) == []

    def _loss(self) -> Value:
        result = self.node.types[0]
        if result == TensorType((), False):
            return self.node.output
        build = builder(self.graph)
        return build.op("mse", [self.node.output, build.input("target", result)], name="loss").output

    def _gradients(self) -> dict[int, Value]:
        wrt = [value for value in self.inputs if value.type.dtype is DType.F32]
        found = gradients(self.graph, self.loss, wrt)
        return {i: found[value] for i, value in enumerate(self.inputs) if value in found}

    def feed(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The graph's inputs by name, the target among them."""
        batch = next((len(a) for a, type in zip(arrays, self.types, strict=True) if type.batched), 1)
        target = random_array(np.random.default_rng(99), self.node.types[0], batch)
        return {f"x{i}": array for i, array in enumerate(arrays)} | {"target": target}

    def run(self, arrays: Sequence[Array], dtype: Any = np.float64) -> tuple[Array, dict[int, Array]]:
        """The op's first result and the loss's gradient by operand."""
        run = Interpreter(self.graph).run(self.feed(arrays), {}, dtype, keep=self.grads.values())
        return run.outputs["y"], {i: run.values[value] for i, value in self.grads.items()}

    def loss_of(self, arrays: Sequence[Array]) -> float:
        return float(Interpreter(self.graph).run(self.feed(arrays), {}).outputs["loss"])


def central_differences(loss: Callable[[Sequence[Array]], float], arrays: Sequence[Array], operand: int) -> Array:
    """Gradient by central differences: h = 1e-5 balances truncation (h^2 = 1e-10) and rounding (eps / h = 2e-11)."""
    h = 1e-5
    result = np.zeros_like(arrays[operand])
    for index in np.ndindex(result.shape):
        values = []
        for sign in (1, -1):
            moved = [array.copy() for array in arrays]
            moved[operand][index] += sign * h
            values.append(loss(moved))
        result[index] = (values[0] - values[1]) / (2 * h)
    return result


def check_differences(op: OneOp, arrays: Sequence[Array], rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """The op's gradient rule against central differences, for every operand that has a gradient."""
    _, grads = op.run(arrays)
    assert grads
    for operand, grad in grads.items():
        expected = central_differences(op.loss_of, arrays, operand)
        np.testing.assert_allclose(grad, expected, rtol=rtol, atol=atol, err_msg=f"operand {operand}")


def check_torch(op: OneOp, arrays: Sequence[Array], function: Callable[..., Any], rtol: float = 1e-10) -> None:
    """Result and gradients against a PyTorch function of the operands, both in float64."""
    import torch

    torch.set_num_threads(1)
    tensors = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    tensors = [t if t.requires_grad else t.long() for t in tensors]
    expected = function(*tensors)
    result, grads = op.run(arrays)
    np.testing.assert_allclose(result, expected.detach().numpy(), rtol=rtol, atol=1e-12)
    target = torch.tensor(op.feed(arrays)["target"])
    loss = expected if expected.ndim == 0 else torch.nn.functional.mse_loss(expected, target)
    loss.backward()
    for operand, grad in grads.items():
        np.testing.assert_allclose(
            grad, tensors[operand].grad.numpy(), rtol=rtol, atol=1e-12, err_msg=f"operand {operand}"
        )
