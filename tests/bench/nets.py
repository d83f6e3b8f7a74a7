"""The networks of the inference benchmark, and what every program is given of one: weights, inputs, an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.driver import Origin, load
from netdsl.ir.graph import Graph
from netdsl.weights.initialize import initial_parameters

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Network:
    """A row of the table."""

    title: str
    where: str
    arguments: Mapping[str, int] = field(default_factory=dict)

    def graph(self) -> Graph:
        return load(Origin(self.where, None, self.arguments)).graph


NETWORKS = {
    "lenet5": Network("LeNet-5", "zoo:lenet5"),
    "alexnet": Network("AlexNet", "zoo:alexnet_torchvision"),
    "vgg16": Network("VGG-16", "zoo:vgg_d"),
    "googlenet": Network("GoogLeNet (BN)", "zoo:googlenet_torchvision"),
    "resnet18": Network("ResNet-18", "zoo:resnet18"),
    "resnet50": Network("ResNet-50", "zoo:resnet50"),
    "resnext50": Network("ResNeXt-50 32x4d", "zoo:resnext50_32x4d"),
    "densenet121": Network("DenseNet-121", "zoo:densenet121"),
    "unet": Network("U-Net (BN, 256x256)", "zoo:unet_bn", {"classes": 21, "height": 256, "width": 256}),
}


@dataclass(frozen=True)
class Task:
    """One network at one batch size, its files in a folder of its own."""

    network: Network
    batch: int
    folder: Path

    @staticmethod
    def prepare(network: Network, batch: int, seed: int, folder: Path) -> Task:
        """Write the model, the weights and the inputs. Raises NotImplementedError for an op ONNX cannot be given."""
        from tests.bench.onnx_model import to_onnx

        graph = network.graph()
        parameters = parameters_for(graph, seed)
        random = np.random.default_rng(seed)
        inputs = {node.name: random.normal(size=node.types[0].full_shape(batch)) for node in graph.inputs}
        task = Task(network, batch, folder)
        task.onnx.write_bytes(to_onnx(graph, parameters, batch))
        np.savez(folder / "parameters.npz", **parameters)
        np.savez(folder / "inputs.npz", **{name: array.astype(np.float32) for name, array in inputs.items()})
        return task

    @property
    def onnx(self) -> Path:
        return self.folder / "model.onnx"

    def parameters(self) -> dict[str, Array]:
        return read_arrays(self.folder / "parameters.npz")

    def compared(self) -> list[Mapping[str, Array]]:
        """Inputs of the calls whose outputs are compared."""
        return [self.inputs()]

    def inputs(self) -> dict[str, Array]:
        """Those of the calls that are timed."""
        return read_arrays(self.folder / "inputs.npz")


def parameters_for(graph: Graph, seed: int) -> dict[str, Array]:
    """Parameters as training starts with them but for batch norm.

    It gets the statistics of a used network, and scales so small that the scores of deep residual networks stay
    small: large ones leave a softmax of zeros and a one, whatever was computed before it.
    """
    parameters: dict[str, Array] = dict(initial_parameters(graph.params, seed))
    random = np.random.default_rng(seed)
    for node in graph.nodes:
        if node.op == "bn":
            _, weight, _, mean, var = (value.name for value in node.inputs)
            shape = parameters[weight].shape
            parameters[weight] = random.uniform(0.1, 0.4, shape).astype(np.float32)
            parameters[mean] = random.normal(0, 0.1, shape).astype(np.float32)
            parameters[var] = random.uniform(0.5, 2, shape).astype(np.float32)
    return parameters


def read_arrays(path: Path) -> dict[str, Array]:
    with np.load(path) as found:
        return dict(found)
