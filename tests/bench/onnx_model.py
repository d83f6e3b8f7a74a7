"""A layer graph as an ONNX model, so that ONNX Runtime runs exactly the network and weights that netdsl runs.

Layers are written as they stand in the file: batch norm, dropout and activations as nodes of their own, for the
runtime to fuse as it does for any model it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from netdsl.ir.graph import SOURCES, Graph, Node

OPSET = 17
IR_VERSION = 8

Writer = Callable[[Node], dict[str, Any]]


def to_onnx(graph: Graph, parameters: Mapping[str, np.ndarray[Any, Any]], batch: int) -> bytes:
    """The serialized model. Raises NotImplementedError for an op that has no translation here."""
    nodes = [node for layer in graph.nodes if layer.op not in SOURCES for node in _translate(layer)]
    initializers = [numpy_helper.from_array(parameters[node.name], node.name) for node in graph.params]
    for name, value in graph.outputs.items():
        nodes.append(helper.make_node("Identity", [value.name], [result_name(name)]))
    outputs = [_info(result_name(name), value.type.full_shape(batch)) for name, value in graph.outputs.items()]
    inputs = [_info(node.name, node.types[0].full_shape(batch)) for node in graph.inputs]
    model: ModelProto = helper.make_model(
        helper.make_graph(nodes, graph.name, inputs, outputs, initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def result_name(name: str) -> str:
    """Outputs get names of their own: an output and a layer may be called the same."""
    return f"output.{name}"


def _info(name: str, shape: tuple[int, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _translate(node: Node) -> list[NodeProto]:
    if node.op not in _WRITERS:
        raise NotImplementedError(f"{node.op} has no ONNX translation in this benchmark")
    kind, attributes = _WRITERS[node.op]
    inputs = [value.name for value in node.inputs]
    return [helper.make_node(kind, inputs, [node.output.name], node.name, **attributes(node))]


def onnx_pads(pad: tuple[int, int, int, int]) -> list[int]:
    """(top, bottom, left, right) in ONNX's order: all beginnings, then all ends."""
    top, bottom, left, right = pad
    return [top, left, bottom, right]


def _conv(node: Node) -> dict[str, Any]:
    attrs = node.attrs
    geometry = {"kernel_shape": attrs["kernel"], "strides": attrs["stride"], "pads": onnx_pads(attrs["pad"])}
    return {**geometry, "dilations": attrs["dilation"], "group": attrs["groups"]}


def _deconv(node: Node) -> dict[str, Any]:
    return {**_conv(node), "output_padding": node.attrs["output_pad"]}


def _pool(node: Node) -> dict[str, Any]:
    attrs = node.attrs
    if attrs["kernel"] is None or attrs["round"] == "ceil_caffe":
        raise NotImplementedError(f"{node.name}: ONNX has no such windows")
    geometry = {"kernel_shape": attrs["kernel"], "strides": attrs["stride"], "pads": onnx_pads(attrs["pad"])}
    return {**geometry, "ceil_mode": int(attrs["round"] == "ceil")}


def _avgpool(node: Node) -> dict[str, Any]:
    return {**_pool(node), "count_include_pad": int(node.attrs["count_include_pad"])}


def _lrn(node: Node) -> dict[str, Any]:
    return {
        "size": node.attrs["size"],
        "alpha": node.attrs["alpha"],
        "beta": node.attrs["beta"],
        "bias": node.attrs["k"],
    }


def _plain(node: Node) -> dict[str, Any]:
    return {}


def _no_border(node: Node) -> dict[str, Any]:
    if any(node.attrs["by"]):
        raise NotImplementedError(f"{node.name}: only padding by nothing is translated")
    return {}


def _product(node: Node) -> dict[str, Any]:
    ranks = {len(value.type.shape) for value in node.inputs}
    if len(node.inputs) != 2 or len(ranks) > 1:
        raise NotImplementedError(f"{node.name}: only products of two values of equal rank are translated")
    return {}


def _channels(node: Node) -> dict[str, Any]:
    return {"axis": 1}


_WRITERS: dict[str, tuple[str, Writer]] = {
    "conv": ("Conv", _conv),
    "deconv": ("ConvTranspose", _deconv),
    "fc": ("Gemm", lambda node: {"transB": 1}),
    "bn": ("BatchNormalization", lambda node: {"epsilon": node.attrs["eps"]}),
    "lrn": ("LRN", _lrn),
    "maxpool": ("MaxPool", _pool),
    "avgpool": ("AveragePool", _avgpool),
    "add": ("Sum", _plain),
    "mul": ("Mul", _product),
    "relu": ("Relu", _plain),
    "sigmoid": ("Sigmoid", _plain),
    "tanh": ("Tanh", _plain),
    "softmax": ("Softmax", _channels),
    "concat": ("Concat", _channels),
    "flatten": ("Flatten", _channels),
    "pad": ("Identity", _no_border),
    "dropout": ("Identity", _plain),
    "identity": ("Identity", _plain),
}
