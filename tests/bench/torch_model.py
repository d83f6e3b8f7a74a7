"""A layer graph as a PyTorch module, frozen and optimized for inference by PyTorch itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from netdsl.ir.graph import SOURCES, Graph, Node

Tensor = torch.Tensor


class TorchNet(torch.nn.Module):
    """Runs the layers one after the other; takes the graph's inputs in order, returns its outputs in order."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__()
        self._graph = graph
        for node in graph.params:
            tensor = torch.from_numpy(np.array(parameters[node.name]))
            self.register_buffer(_attribute(node.name), tensor)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = {node.output: tensor for node, tensor in zip(self._graph.inputs, inputs, strict=True)}
        for node in self._graph.params:
            values[node.output] = getattr(self, _attribute(node.name))
        for node in self._graph.nodes:
            if node.op not in SOURCES:
                values[node.output] = _apply(node, [values[value] for value in node.inputs])
        return tuple(values[value] for value in self._graph.outputs.values())


def _attribute(name: str) -> str:
    return "p_" + name.replace(".", "_")


def optimized(net: TorchNet, example: Sequence[Tensor], channels_last: bool) -> Callable[..., Any]:
    """The traced, frozen network with PyTorch's own inference rewrites (folded batch norm and so on)."""
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    net = net.eval().to(memory_format=memory_format)
    example = [tensor.contiguous(memory_format=memory_format) if tensor.ndim == 4 else tensor for tensor in example]
    with torch.no_grad():
        frozen: Any = torch.jit.freeze(torch.jit.trace(net, tuple(example)))
        return torch.jit.optimize_for_inference(frozen)


def _apply(node: Node, operands: list[Tensor]) -> Tensor:
    if node.op not in _OPS:
        raise NotImplementedError(f"{node.op} has no PyTorch translation in this benchmark")
    return _OPS[node.op](node.attrs, operands)


def _conv(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, weight, *bias = operands
    x, pad = _symmetric(x, attrs["pad"], 0.0)
    offset = bias[0] if bias else None
    return functional.conv2d(x, weight, offset, attrs["stride"], pad, attrs["dilation"], attrs["groups"])


def _symmetric(x: Tensor, pad: tuple[int, int, int, int], value: float) -> tuple[Tensor, tuple[int, int]]:
    """PyTorch's windows take one number an axis; anything else is padded beforehand."""
    top, bottom, left, right = pad
    if top == bottom and left == right:
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _maxpool(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, pad = _symmetric(operands[0], attrs["pad"], -torch.inf)
    return functional.max_pool2d(x, attrs["kernel"], attrs["stride"], pad, 1, attrs["round"] == "ceil")


def _avgpool(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    if attrs["to"] is not None:
        return functional.adaptive_avg_pool2d(operands[0], attrs["to"])
    x, pad = _symmetric(operands[0], attrs["pad"], 0.0)
    ceil, counted = attrs["round"] == "ceil", attrs["count_include_pad"]
    return functional.avg_pool2d(x, attrs["kernel"], attrs["stride"], pad, ceil, counted)


def _bn(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, weight, bias, mean, var = operands
    return functional.batch_norm(x, mean, var, weight, bias, False, 0.0, attrs["eps"])


_OPS: dict[str, Callable[[Mapping[str, Any], list[Tensor]], Tensor]] = {
    "conv": _conv,
    "fc": lambda attrs, operands: functional.linear(*operands),
    "bn": _bn,
    "lrn": lambda attrs, operands: functional.local_response_norm(
        operands[0], attrs["size"], attrs["alpha"], attrs["beta"], attrs["k"]
    ),
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "add": lambda attrs, operands: reduce(torch.add, operands),
    "mul": lambda attrs, operands: reduce(torch.mul, operands),
    "relu": lambda attrs, operands: torch.relu(operands[0]),
    "sigmoid": lambda attrs, operands: torch.sigmoid(operands[0]),
    "tanh": lambda attrs, operands: torch.tanh(operands[0]),
    "softmax": lambda attrs, operands: torch.softmax(operands[0], 1),
    "concat": lambda attrs, operands: torch.cat(operands, 1),
    "flatten": lambda attrs, operands: operands[0].flatten(1),
    "dropout": lambda attrs, operands: operands[0],
    "identity": lambda attrs, operands: operands[0],
}
