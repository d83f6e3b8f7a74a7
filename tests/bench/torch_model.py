"""A layer graph as a PyTorch module."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from netdsl.ir.graph import SOURCES, Graph, Node
from netdsl.ir.scalar import Binary, Const, Expr, Var

Tensor = torch.Tensor


class TorchNet(torch.nn.Module):
    """Runs the layers one after the other; takes the graph's inputs in order, returns its outputs in order."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__()
        self._graph = graph
        for node in graph.params:
            tensor = torch.from_numpy(np.array(parameters[node.name]))
            self.register_buffer(_attribute(node.name), tensor)

        self.eval()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = {node.output: tensor for node, tensor in zip(self._graph.inputs, inputs, strict=True)}
        for node in self._graph.params:
            values[node.output] = getattr(self, _attribute(node.name))
        for node in self._graph.nodes:
            if node.op == "const":
                values[node.output] = torch.as_tensor(node.attrs["value"])
            elif node.op not in SOURCES:
                values[node.output] = self.layer(node, [values[value] for value in node.inputs])
        return tuple(values[value] for value in self._graph.outputs.values())

    def layer(self, node: Node, operands: list[Tensor]) -> Tensor:
        """The result of one layer. Raises NotImplementedError for those that have no translation."""
        if node.op == "bn":
            return _bn(node.attrs, operands, self.training)
        if node.op not in _OPS or (self.training and node.op == "dropout" and node.attrs["p"] > 0):
            raise NotImplementedError(f"{node.op} has no PyTorch translation in this benchmark")
        return _OPS[node.op](node.attrs, operands)


class TrainableNet(TorchNet):
    """The same to be trained: batch norm works over the batch and moves its running statistics."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__(graph, parameters)
        for name in (_attribute(node.name) for node in graph.params if node.attrs["trainable"]):
            tensor = getattr(self, name)
            delattr(self, name)
            self.register_parameter(name, torch.nn.Parameter(tensor))
        self.train()

    def value(self, name: str) -> Tensor:
        """A parameter by its name in the graph."""
        tensor: Tensor = getattr(self, _attribute(name))
        return tensor

    def trainable(self, *, decay: bool) -> list[torch.nn.Parameter]:
        """Parameters to which weight decay applies, or those to which it does not."""
        nodes = [node for node in self._graph.params if node.attrs["trainable"] and node.attrs["decay"] is decay]
        return [getattr(self, _attribute(node.name)) for node in nodes]


def _attribute(name: str) -> str:
    return "p_" + name.replace(".", "_")


def _conv(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, weight, *bias = operands
    x, pad = _symmetric(x, attrs["pad"], 0.0)
    offset = bias[0] if bias else None
    return functional.conv2d(x, weight, offset, attrs["stride"], pad, attrs["dilation"], attrs["groups"])


def _deconv(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, weight, *bias = operands
    top, bottom, left, right = attrs["pad"]
    if (top, left) != (bottom, right):
        raise NotImplementedError("PyTorch's transposed convolution crops alike on both sides")
    offset = bias[0] if bias else None
    groups, dilation = attrs["groups"], attrs["dilation"]
    return functional.conv_transpose2d(
        x, weight, offset, attrs["stride"], (top, left), attrs["output_pad"], groups, dilation
    )


def _local(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, weight, *bias = operands
    x, pad = _symmetric(x, attrs["pad"], 0.0)
    patches = functional.unfold(x, attrs["kernel"], padding=pad, stride=attrs["stride"])
    _, *positions, channels, height, width = weight.shape
    y = torch.einsum("ncuvij,oijcuv->noij", patches.view(-1, channels, height, width, *positions), weight)
    return y + bias[0] if bias else y


def _scale(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    x, weight, bias = operands
    shape = (-1, *[1] * (x.dim() - 2))
    return x * weight.view(shape) + bias.view(shape)


def _distance(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    difference = operands[0].unsqueeze(1) - operands[1]
    return (difference.square() if attrs["norm"] == "squared" else difference.abs()).sum(2)


def _map(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    """Arithmetic written in the file, such as ``0.17 * x``."""
    rank = max(tensor.dim() for tensor in operands)
    aligned = [tensor.reshape((*tensor.shape, *[1] * (rank - tensor.dim()))) for tensor in operands]

    def value(expr: Expr) -> Any:
        match expr:
            case Var(index=index):
                return aligned[index]
            case Const(value=number):
                return number
            case Binary(op=op) if op in _ARITHMETIC:
                return _ARITHMETIC[op](*map(value, expr.children))
        raise NotImplementedError(f"{expr} has no PyTorch translation in this benchmark")

    result: Tensor = value(attrs["expr"])
    return result


_ARITHMETIC = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}


def _crop(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    top, bottom, left, right = attrs["by"]
    _, _, height, width = operands[0].shape
    return operands[0][:, :, top : height - bottom, left : width - right]


def _cross_entropy(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    scores, label = operands
    ignore = -100 if attrs["ignore"] is None else attrs["ignore"]
    return functional.cross_entropy(scores, label.long(), ignore_index=ignore, label_smoothing=attrs["smooth"])


def _border(attrs: Mapping[str, Any], operands: list[Tensor]) -> Tensor:
    top, bottom, left, right = attrs["by"]
    return functional.pad(operands[0], (left, right, top, bottom))


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


def _bn(attrs: Mapping[str, Any], operands: list[Tensor], training: bool) -> Tensor:
    x, weight, bias, mean, var = operands
    return functional.batch_norm(x, mean, var, weight, bias, training, attrs["momentum"], attrs["eps"])


_OPS: dict[str, Callable[[Mapping[str, Any], list[Tensor]], Tensor]] = {
    "conv": _conv,
    "deconv": _deconv,
    "pad": _border,
    "fc": lambda attrs, operands: functional.linear(*operands),
    "lrn": lambda attrs, operands: functional.local_response_norm(
        operands[0], attrs["size"], attrs["alpha"], attrs["beta"], attrs["k"]
    ),
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "local": _local,
    "scale": _scale,
    "distance": _distance,
    "map": _map,
    "crop": _crop,
    "slice": lambda attrs, operands: operands[0][:, attrs["start"] : attrs["stop"]],
    "add": lambda attrs, operands: reduce(operator.add, operands),
    "mul": lambda attrs, operands: reduce(operator.mul, operands),
    "relu": lambda attrs, operands: torch.relu(operands[0]),
    "leaky_relu": lambda attrs, operands: functional.leaky_relu(operands[0], attrs["slope"]),
    "prelu": lambda attrs, operands: functional.prelu(*operands),
    "sigmoid": lambda attrs, operands: torch.sigmoid(operands[0]),
    "tanh": lambda attrs, operands: torch.tanh(operands[0]),
    "softmax": lambda attrs, operands: torch.softmax(operands[0], 1),
    "concat": lambda attrs, operands: torch.cat(operands, 1),
    "flatten": lambda attrs, operands: operands[0].flatten(1),
    "dropout": lambda attrs, operands: operands[0],
    "identity": lambda attrs, operands: operands[0],
    "cross_entropy": _cross_entropy,
    "mse": lambda attrs, operands: functional.mse_loss(*operands),
}
