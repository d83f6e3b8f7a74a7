"""The default passes leave every network of the zoo what it is, at sizes that a test can afford."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from netdsl.driver import Origin, load
from netdsl.ir.graph import Graph
from netdsl.passes import run_passes
from netdsl.resolve import resolve
from tests.passes.nets import assert_same_function

SIZES = {
    "lenet5": "[1, 32, 32]",
    "alexnet": "[3, 99, 99]",
    "alexnet_torchvision": "[3, 67, 67]",
    "vgg_a": "[3, 32, 32]",
    "vgg_d": "[3, 32, 32]",
    "googlenet": "[3, 224, 224]",
    "resnet18": "[3, 64, 64]",
    "resnet50": "[3, 64, 64]",
    "resnext50_32x4d": "[3, 64, 64]",
    "se_resnet50": "[3, 64, 64]",
    "densenet121": "[3, 64, 64]",
    "unet": "[1, 188, 188]",
    "unet_bn": "[3, 32, 32]",
}


def small(name: str, folder: Path) -> Graph:
    """The network for another input size, with 10 classes."""
    found = resolve(f"zoo:{name}")
    text = found.path.read_text()
    fixed = next(line for line in text.splitlines() if line.strip().startswith("input image: "))
    path = folder / f"{name}.net"
    path.write_text(text.replace(fixed, f"    input image: {SIZES[name]}"))
    graph = load(Origin(str(path), found.net, {"classes": 10})).graph
    for value in list(graph.outputs.values()):
        if value.node.op == "softmax":  # which would hide small differences behind one large score
            graph.outputs["scores"] = value.node.inputs[0]
    return graph


@pytest.mark.parametrize("name", SIZES)
def test_zoo_networks_compute_the_same(name: str, tmp_path: Path) -> None:
    graph = small(name, tmp_path)
    after, _ = run_passes(graph, verify=True)
    assert_same_function(graph, after, batch=1)
    assert not {node.op for node in after.nodes} & {"bn", "dropout", "relu", "identity"}


def test_what_is_left_of_resnet50() -> None:
    after, report = run_passes(load(Origin("zoo:resnet50")).graph)
    activations = Counter(node.op for node in after.layers if node.types[0].batched)
    assert activations == {"conv": 53, "maxpool": 1, "avgpool": 1, "flatten": 1, "fc": 1, "softmax": 1}
    assert Counter(entry.pass_name for entry in report.rewritten) == {"fold_bn": 53, "fuse_epilogue": 49 + 16}
    assert {span.line for span in after.node("layer1.0.conv3").spans} != set()
