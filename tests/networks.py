"""Four small networks as graphs; their PyTorch twins are in ``torch_networks.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import get

Array = np.ndarray[Any, Any]


class NetBuilder(GraphBuilder):
    """Layers with fresh parameters, named as the elaborator names them."""

    def __init__(self, name: str) -> None:
        super().__init__(Graph(name), infer_types)

    def layer(self, name: str, op: str, *inputs: Value, **args: Any) -> Value:
        definition = get(op)
        defaults = {arg.name: arg.default for arg in definition.args if not arg.required}
        types = [value.type for value in inputs]
        attrs = definition.resolve({**defaults, **args}, types)
        params = [
            self.param(f"{name}.{s.name}", s.shape, {"init": s.init, "trainable": s.trainable, "decay": s.decay})
            for s in definition.parameters(attrs, types)
        ]
        return self.op(op, [*inputs, *params], attrs, name=name).output

    def conv(
        self, name: str, x: Value, channels: int, kernel: int, stride: int = 1, pad: int = 0, **args: Any
    ) -> Value:
        sizes = {"kernel": (kernel, kernel), "stride": (stride, stride), "pad": (pad,) * 4}
        return self.layer(name, "conv", x, channels=channels, **sizes, **args)

    def pool(self, name: str, op: str, x: Value, size: int) -> Value:
        return self.layer(name, op, x, kernel=(size, size), stride=(size, size))

    def finish(self, logits: Value) -> tuple[Graph, Value, Value]:
        """(graph, loss, logits): cross-entropy against ``label``."""
        label = self.input("label", TensorType(logits.type.shape[1:], True, DType.I32))
        loss = self.layer("loss", "cross_entropy", logits, label)
        self.graph.outputs = {"logits": logits}
        return self.graph, loss, logits


def lenet() -> tuple[Graph, Value, Value]:
    """[1, 16, 16] -> 5 classes: conv, tanh and average pooling twice, then two fully connected layers."""
    net = NetBuilder("lenet")
    x = net.input("image", TensorType((1, 16, 16)))
    x = net.layer("tanh1", "tanh", net.conv("conv1", x, 4, 5))
    x = net.pool("pool1", "avgpool", x, 2)
    x = net.layer("relu2", "relu", net.conv("conv2", x, 6, 3))
    x = net.pool("pool2", "maxpool", x, 2)
    x = net.layer("flatten", "flatten", x)
    x = net.layer("sigmoid3", "sigmoid", net.layer("fc1", "fc", x, features=12))
    return net.finish(net.layer("fc2", "fc", x, features=5))


def _unit(net: NetBuilder, name: str, x: Value, channels: int, stride: int = 1) -> Value:
    """A basic residual block."""
    y = net.conv(f"{name}.conv1", x, channels, 3, stride, 1, bias=False)
    y = net.layer(f"{name}.relu1", "relu", net.layer(f"{name}.bn1", "bn", y))
    y = net.layer(f"{name}.bn2", "bn", net.conv(f"{name}.conv2", y, channels, 3, 1, 1, bias=False))
    if stride != 1:
        x = net.conv(f"{name}.down", x, channels, 1, stride, bias=False)
        x = net.layer(f"{name}.down_bn", "bn", x)
    return net.layer(f"{name}.relu2", "relu", net.layer(f"{name}.add", "add", y, x))


def resnet() -> tuple[Graph, Value, Value]:
    """[3, 8, 8] -> 5 classes: a stem and two residual blocks, the second at stride 2."""
    net = NetBuilder("resnet")
    x = net.input("image", TensorType((3, 8, 8)))
    x = net.layer("bn1", "bn", net.conv("conv1", x, 8, 3, 1, 1, bias=False))
    x = _unit(net, "block1", net.layer("relu", "relu", x), 8)
    x = _unit(net, "block2", x, 12, 2)
    x = net.layer("flatten", "flatten", net.pool("pool", "avgpool", x, 4))
    return net.finish(net.layer("fc", "fc", x, features=5))


def _dense(net: NetBuilder, name: str, x: Value) -> Value:
    y = net.layer(f"{name}.relu1", "relu", net.layer(f"{name}.bn1", "bn", x))
    y = net.conv(f"{name}.conv1", y, 12, 1, bias=False)
    y = net.layer(f"{name}.relu2", "relu", net.layer(f"{name}.bn2", "bn", y))
    y = net.conv(f"{name}.conv2", y, 4, 3, 1, 1, bias=False)
    return net.layer(f"{name}.concat", "concat", x, y)


def densenet() -> tuple[Graph, Value, Value]:
    """[3, 8, 8] -> 5 classes: two dense layers, a transition, one dense layer."""
    net = NetBuilder("densenet")
    x = net.conv("conv0", net.input("image", TensorType((3, 8, 8))), 8, 3, 1, 1, bias=False)
    x = _dense(net, "dense2", _dense(net, "dense1", x))
    x = net.layer("relu", "relu", net.layer("bn", "bn", x))
    x = net.pool("pool", "avgpool", net.conv("conv", x, 8, 1, bias=False), 2)
    x = _dense(net, "dense3", x)
    x = net.layer("flatten", "flatten", net.pool("last", "avgpool", x, 4))
    return net.finish(net.layer("fc", "fc", x, features=5))


def unet() -> tuple[Graph, Value, Value]:
    """[1, 12, 12] -> 3 classes a pixel: one level down and up, the skip cropped to the unpadded middle."""
    net = NetBuilder("unet")
    x = net.input("image", TensorType((1, 12, 12)))
    skip = net.layer("relu1", "relu", net.conv("conv1", x, 6, 3))
    x = net.pool("pool", "maxpool", skip, 2)
    x = net.layer("relu2", "relu", net.conv("conv2", x, 8, 3))
    x = net.layer("up", "deconv", x, channels=6, kernel=(2, 2), stride=(2, 2))
    cropped = net.layer("crop", "crop", skip, by=(2, 2, 2, 2))
    x = net.layer("concat", "concat", cropped, x)
    x = net.layer("relu3", "relu", net.conv("conv3", x, 6, 3))
    return net.finish(net.conv("conv4", x, 3, 1))


NETS = {"lenet": lenet, "resnet": resnet, "densenet": densenet, "unet": unet}


def batches(graph: Graph, count: int, size: int, classes: int) -> list[dict[str, Array]]:
    """Seeded images and labels for every step."""
    rng = np.random.default_rng(11)
    image, label = (graph.node(name).output.type for name in ("image", "label"))
    return [
        {
            "image": rng.standard_normal(image.full_shape(size)),
            "label": rng.integers(0, classes, label.full_shape(size), dtype=np.int32),
        }
        for _ in range(count)
    ]
