"""Small versions of the zoo's families: the same layers in the same order, on smaller pictures, with an eighth of the
channels and fewer of the repeated blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.data import open_data, shapes
from netdsl.data.annotation import Annotated
from netdsl.driver import Origin, load
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import get
from netdsl.resolve import resolve

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Family:
    """How the small version comes from the file in the zoo.

    ``side`` pixels; widths are divided by ``by``; ``net`` is another net of the file than the zoo's name says, and
    ``arguments`` are those of the net beside the number of classes. ``edits`` replace text by regular expressions, each
    of which must match. A step takes ``batch`` samples at the learning rate ``rate``. ``always`` is no for what only
    the full tests run: relatives of others, and what takes long to compile.
    """

    zoo: str
    side: int
    rate: float
    by: int = 8
    batch: int = 8
    net: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    edits: Mapping[str, str] = field(default_factory=dict)
    classes: str = "classes"
    always: bool = True

    def build(self, folder: Path) -> tuple[Graph, Value]:
        """(graph, loss); the targets are inputs of the graph."""
        found = resolve(f"zoo:{self.zoo}")
        text = found.path.read_text(encoding="utf-8")
        size = {r"input image: \[(\d+),.*\]": rf"input image: [\1, {self.side}, {self.side}]"}
        for pattern, replacement in {**size, **self.edits}.items():
            text, count = re.subn(pattern, replacement, text)
            assert count, (self.zoo, pattern)
        path = folder / f"{self.zoo}.net"
        path.write_text(text, encoding="utf-8")
        pixels = found.path.parent.name == "segmentation"
        arguments = {self.classes: len(shapes.CLASSES) + pixels, **self.arguments}
        model = load(Origin(str(path), self.net or found.net, arguments))
        if model.train is not None:
            return thinner(model.train.graph, model.train.loss, self.by)
        graph, loss = with_loss(model.graph)
        return thinner(graph, loss, self.by)


def with_loss(graph: Graph) -> tuple[Graph, Value]:
    """A copy with the cross entropy of the scores; of squared distances, as LeCun et al. 1998 in equation 8, their mean
    distance from a target."""
    twin, table = graph.copy()
    output = table[next(iter(graph.outputs.values()))]
    build = GraphBuilder(twin, infer_types)
    if output.node.op == "distance":
        return twin, build.op("mse", [output, build.input("label", output.type)], name="loss").output
    scores = output.node.inputs[0] if output.node.op == "softmax" else output
    label = build.input("label", TensorType(scores.type.shape[1:], True, DType.I32))
    return twin, build.op("cross_entropy", [scores, label], name="loss").output


def thinner(graph: Graph, loss: Value, by: int) -> tuple[Graph, Value]:
    """The same layers with channels, features and groups divided by ``by``; what has fewer than ``by`` keeps them, as
    the classes do."""
    thin = Graph(graph.name)
    build = GraphBuilder(thin, infer_types)
    table: dict[Value, Value] = {}
    for node in graph.nodes:
        if node.op == "input":
            table[node.output] = build.input(node.name, node.output.type)
        elif node.op == "const":
            table[node.output] = build.constant(node.attrs["value"], name=node.name)
        elif node.op != "param":
            operands = _operands(build, node, table, by)
            attrs = _divided(node.attrs, by)
            table.update(zip(node.outputs, build.op(node.op, operands, attrs, name=node.name).outputs, strict=True))
    thin.outputs = {"loss": table[loss]}
    thin.prune()
    return thin, table[loss]


def _divided(attrs: Mapping[str, Any], by: int) -> dict[str, Any]:
    counts = {name: attrs[name] for name in ("channels", "features", "groups") if name in attrs}
    return {**attrs, **{name: max(2, -(-count // by)) for name, count in counts.items() if count > by}}


def _operands(build: GraphBuilder, node: Node, table: dict[Value, Value], by: int) -> list[Value]:
    """What a layer reads, its parameters in the sizes they now have."""
    definition = get(node.op)
    types = [table[value].type for value in node.inputs if value.node.op != "param"]
    attrs = definition.resolve(_divided(node.attrs, by), types)
    specs = iter(definition.parameters(attrs, types))
    for value in node.inputs:
        if value.node.op == "param":
            spec = next(specs)
            assert value.name.endswith(spec.name) and value not in table, f"{value.name} is shared"
            kind = {"init": spec.init, "trainable": spec.trainable, "decay": spec.decay}
            table[value] = build.param(value.name, spec.shape, kind)
    return [table[value] for value in node.inputs]


def batches(graph: Graph, size: int, count: int) -> list[dict[str, Array]]:
    """``count`` batches of generated pictures with their classes, or a class for each pixel."""
    image, label = (graph.node(name).output.type for name in ("image", "label"))
    channels, side, _ = image.shape
    split = open_data(f"shapes:size={side},train={size * count},test=3").train
    assert isinstance(split, Annotated)
    pictures = [split.image(index) for index in range(len(split))]
    images = (np.stack(pictures) - 0.5) / 0.25
    images = images if channels == 3 else images.mean(axis=1, keepdims=True)
    labels = _labels(split, label)
    return [
        {"image": images[start : start + size].astype(np.float32), "label": labels[start : start + size]}
        for start in range(0, len(split), size)
    ]


def _labels(split: Annotated, type: TensorType) -> Array:
    if type.dtype is not DType.I32:
        return np.eye(type.shape[0], dtype=np.float32)[np.asarray(split.targets)]
    if not any(size > 1 for size in type.shape):
        return np.asarray(split.targets, dtype=np.int32).reshape(-1, *type.shape)
    masks: Sequence[Array] = [split.pixels(index) for index in range(len(split))]
    cut = [(have - want) // 2 for have, want in zip(masks[0].shape, type.shape, strict=True)]
    rows, columns = (slice(first, first + want) for first, want in zip(cut, type.shape, strict=True))
    return np.stack(masks)[:, rows, columns].astype(np.int32)


def _without(*patterns: str) -> dict[str, str]:
    """Edits that leave lines of the file out."""
    return {rf"\n[^\n]*(?:{pattern})[^\n]*": "" for pattern in patterns}


_TWO_STAGES = _without(r"as layer[34]")
_FEW_INCEPTIONS = _without(r"as inception_(?:3b|4[abcde]|5a)")
_BLOCKS = {"blocks": [2, 1]}

FAMILIES = {
    "linear": Family("linear", 32, 5e-5, by=1, always=False),
    "mlp": Family("mlp", 28, 5e-4, by=1),
    "lenet1": Family("lenet1", 28, 5e-4, by=1, always=False),
    "lenet5": Family("lenet5", 32, 5e-4, by=1),
    "lenet5_1998": Family("lenet5_1998", 32, 2e-6, by=1, always=False),
    "cifar_cnn": Family("cifar_cnn", 32, 2e-4, always=False),
    "alexnet": Family("alexnet", 67, 5e-6),
    "zfnet": Family("zfnet", 64, 5e-6, always=False),
    "overfeat": Family("overfeat_fast", 103, 2e-6, edits={"6x6": "2x2"}),
    "vgg": Family("vgg_a_lrn", 32, 1e-6, by=16, batch=16),
    "googlenet": Family("googlenet", 80, 3e-6, batch=4, edits=_without(r"as inception(?:4b|4c|4e|5a)")),
    "bn_inception": Family("bn_inception", 64, 5e-6, edits=_FEW_INCEPTIONS, always=False),
    "inception_resnet": Family("inception_resnet_v2", 107, 1e-6, edits={r"\) \* \d+ as": ") * 1 as"}, always=False),
    "resnet18": Family(
        "resnet18", 32, 2e-5, batch=16, net="PlainResNet", arguments=_BLOCKS, edits=_TWO_STAGES, always=False
    ),
    "resnet50": Family("resnet50", 32, 2e-5, batch=16, net="ResNet", arguments=_BLOCKS, edits=_TWO_STAGES),
    "resnet_v1": Family(
        "resnet50_v1", 32, 1e-5, batch=16, net="ResNet_v1", arguments=_BLOCKS, edits=_TWO_STAGES, always=False
    ),
    "resnet_v2": Family("resnet101_v2", 32, 5e-5, batch=16, net="ResNet_v2", arguments=_BLOCKS, edits=_TWO_STAGES),
    "prelu_net": Family("prelu_net", 112, 8e-7, by=16, edits={r"\* 5 ": "* 2 "}, always=False),
    "resnext": Family(
        "resnext50_32x4d", 32, 2e-5, batch=16, net="ResNeXt", arguments={**_BLOCKS, "groups": 32, "base": 4}
    ),
    "se_resnet": Family("se_resnet50", 32, 4e-5, batch=16, net="SEResNeXt", arguments=_BLOCKS, always=False),
    "se_resnext": Family(
        "se_resnext50",
        32,
        4e-5,
        batch=16,
        net="SEResNeXt",
        arguments={**_BLOCKS, "groups": 32, "base": 4},
        always=False,
    ),
    "senet154": Family("senet154", 32, 4e-5, batch=16, edits={**_TWO_STAGES, r"\* [37]\b": "* 1"}),
    "se_vgg16": Family("se_vgg16", 32, 1e-6, batch=16, always=False, edits={r"Layer\(512\) \* 3": "Layer(512)"}),
    "densenet": Family("densenet121", 64, 2e-5, batch=16, net="DenseNet", arguments={"layers": [2, 2, 1, 1]}),
    "deepface": Family("deepface", 80, 2e-6, classes="people"),
    "darknet19": Family(
        "darknet19",
        32,
        2e-5,
        batch=16,
        edits={**_without(r"-> Conv\(1024"), r" -> maxpool\(2\)\n *-> Conv\(512.*maxpool\(2\)": ""},
    ),
    "darknet53": Family(
        "darknet53", 64, 2e-5, always=False, edits={**_without(r"-> Conv\((?:512|1024)"), r"\* [28] ": "* 1 "}
    ),
    "unet": Family(
        "unet",
        92,
        5e-5,
        by=16,
        batch=2,
        edits={r"\[e4, e3, e2, e1\]": "[e2, e1]", r"d  = e4": "d  = e2", **_without("e[34] = e")},
    ),
    "unet_bn": Family("unet_bn", 32, 5e-5, batch=4, by=16, always=False),
}
"""The zoo's classification networks and U-Net."""
