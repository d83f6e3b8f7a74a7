"""Classifiers as dense networks: the same scores on the same image, and those of windows on a larger one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.cli.main import run
from netdsl.diagnostics import UserError
from netdsl.passes.convolutionalize import convolutionalize
from netdsl.reference import Interpreter
from netdsl.report.net_text import net_text
from netdsl.weights import write_tensors

CLASSIFIER = """
net Small(classes: int = 5) {
    input image: [2, 18, 14]
    maps = image -> conv(4, 3x3) -> relu -> maxpool(2) -> conv(6, 3x3) -> bn as norm -> lrn(3) -> tanh
    logits = 0.5 * (maps -> flatten -> dropout(0.3) -> fc(8) -> bn -> relu -> fc(classes, bias=no) as last)
    output probs = softmax(logits)
    output logits
}
"""
PLAIN = """
net Plain {
    input image: [1, 12, 10]
    output scores = image -> conv(3, 3x3, stride=2) -> relu -> flatten -> fc(6) -> tanh -> fc(4)
}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "net.net"
    path.write_text(text, encoding="utf-8")
    return str(path)


def parameters(net: netdsl.Network) -> dict[str, Any]:
    """Random, so that biases and running statistics take part."""
    chance = np.random.default_rng(3)
    shapes = net.parameters.items()
    return {
        name: chance.uniform(0.1, 0.6, shape) * chance.choice([-1, 1]) ** ("var" not in name) for name, shape in shapes
    }


def outputs(net: netdsl.Network, given: dict[str, Any], image: Any) -> dict[str, Any]:
    fitted = {name: given[name].reshape(shape) for name, shape in net.parameters.items()}
    return Interpreter(net.graph).run({"image": image}, fitted).outputs


def test_on_the_original_size_nothing_changes(tmp_path: Path) -> None:
    net = netdsl.load(written(tmp_path, CLASSIFIER))
    dense = netdsl.fully_convolutional(net)
    image = np.random.default_rng(1).standard_normal((3, 2, 18, 14))
    given = parameters(net)
    for name, wanted in outputs(net, given, image).items():
        found = outputs(dense, given, image)[name]
        assert found.shape == (3, 5, 1, 1)
        np.testing.assert_allclose(found[:, :, 0, 0], wanted, rtol=0, atol=1e-12)


def test_on_the_cpu(tmp_path: Path) -> None:
    net = netdsl.load(written(tmp_path, CLASSIFIER))
    dense = netdsl.fully_convolutional(net, size=(18, 14))
    image = np.random.default_rng(1).standard_normal((2, 2, 18, 14)).astype(np.float32)
    given = net.initial_parameters(4)
    fitted = {name: given[name].reshape(shape) for name, shape in dense.parameters.items()}
    wanted = netdsl.compile(net, batch=2, weights=given)(image)
    found = netdsl.compile(dense, batch=2, weights=fitted)(image)
    for name in wanted:
        np.testing.assert_allclose(found[name][:, :, 0, 0], wanted[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("text", "stride"), [(CLASSIFIER, 2), (PLAIN, 2)])
def test_a_larger_image_is_the_classifier_at_every_position(tmp_path: Path, text: str, stride: int) -> None:
    net = netdsl.load(written(tmp_path, text))
    channels, height, width = net.inputs["image"]
    image = np.random.default_rng(2).standard_normal((2, channels, height + 3 * stride, width + 2 * stride))
    dense, given = netdsl.fully_convolutional(net, size=image.shape[2:]), parameters(net)
    for name, found in outputs(dense, given, image).items():
        assert found.shape[2:] == (4, 3)
        for row in range(4):
            for col in range(3):
                y, x = row * stride, col * stride
                crop = image[:, :, y : y + height, x : x + width]
                wanted = outputs(net, given, crop)[name]
                np.testing.assert_allclose(found[:, :, row, col], wanted, rtol=0, atol=1e-12)


def test_global_pools_slide_with_the_window_they_had(tmp_path: Path) -> None:
    text = "net A { input image: [1, 6, 6]\n output y = image -> conv(2, 3x3) -> avgpool(global) -> flatten -> fc(3) }"
    net = netdsl.load(written(tmp_path, text))
    image = np.random.default_rng(2).standard_normal((1, 1, 7, 8))
    found = outputs(netdsl.fully_convolutional(net, size=(7, 8)), parameters(net), image)["y"]
    wanted = outputs(net, parameters(net), image[:, :, 1:, 2:])["y"]
    np.testing.assert_allclose(found[:, :, 1, 2], wanted, rtol=0, atol=1e-12)


ZOO = ("alexnet", "alexnet_lecture", "alexnet_torchvision", "overfeat_fast", "overfeat_accurate", "vgg_a", "vgg16_bn",
       "zfnet", "lenet5", "resnet18", "googlenet", "densenet121", "inception_resnet_v2", "darknet19")  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_converts_and_its_text_is_the_same_network(name: str, tmp_path: Path) -> None:
    """By the counts of the reports: the numbers of large networks take too long here."""
    net = netdsl.load(f"zoo:{name}")
    dense = netdsl.fully_convolutional(net)
    text = net_text(dense.graph)
    again = netdsl.load(written(tmp_path, text.text))
    layers = [[(node.op, node.types) for node in graph.layers] for graph in (dense.graph, again.graph)]
    assert layers[0] == layers[1]
    assert {text.names[name]: shape for name, shape in dense.parameters.items()} == again.parameters
    sizes = [sum(int(np.prod(shape)) for shape in one.parameters.values()) for one in (net, again)]
    assert sizes[0] == sizes[1]
    assert all(shape[1:] == (1, 1) for shape in again.outputs.values())


def test_larger_images_of_the_zoo() -> None:
    assert netdsl.fully_convolutional("zoo:overfeat_fast", size=(231 + 36, 231 + 72)).outputs["probs"] == (1000, 2, 3)
    assert netdsl.fully_convolutional("zoo:vgg_d", size=(384, 384)).outputs["probs"] == (1000, 6, 6)


@pytest.mark.parametrize("text", [CLASSIFIER, PLAIN])
def test_the_verb_writes_a_net_and_weights_that_give_the_same_numbers(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    net = netdsl.load(file)
    given = {name: value.astype(np.float32) for name, value in parameters(net).items()}
    write_tensors(tmp_path / "w.safetensors", given, {})
    out, weights = str(tmp_path / "dense.net"), str(tmp_path / "dense.safetensors")
    arguments = ["-o", out, "--weights", str(tmp_path / "w.safetensors"), "--output-weights", weights]
    assert run(["convert", file, "--fully-convolutional", *arguments]) == 0
    image = np.random.default_rng(1).standard_normal((1, *net.inputs["image"])).astype(np.float32)
    wanted = netdsl.compile(net, weights=given).run({"image": image})
    found = netdsl.compile(netdsl.load(out), weights=weights).run({"image": image})
    for name in wanted:
        np.testing.assert_allclose(found[name][:, :, 0, 0], wanted[name], rtol=1e-5, atol=1e-6)
    assert netdsl.load(out, size=(30, 40)).outputs[name][1] > 1


def test_shared_layers_and_arithmetic_survive_the_text(tmp_path: Path) -> None:
    text = """
block Head { return in -> conv(2, 1x1) as a -> relu }
net A {
    input image: [2, 8, 8]
    layer head = Head()
    x = image -> head -> head
    output y = (x * 2 - image -> conv(2, 3x3, pad=(0, 2, 2, 0)) as in_)  -> flatten -> fc(3) }
"""
    net = netdsl.load(written(tmp_path, text))
    dense, given = netdsl.fully_convolutional(net), parameters(net)
    made = net_text(dense.graph)
    again = netdsl.load(written(tmp_path, made.text))
    image = np.random.default_rng(1).standard_normal((1, 2, 8, 8))
    renamed = {made.names[name]: value for name, value in given.items()}
    wanted, found = outputs(net, given, image)["y"], outputs(again, renamed, image)["y"]
    np.testing.assert_allclose(found[:, :, 0, 0], wanted, rtol=0, atol=1e-12)


REFUSED = {
    "avgpool(to=3x3) -> flatten -> fc(2)": "windows of different sizes",
    "reshape([4, 32]) -> flatten -> fc(2)": "mixes channels and positions",
    "flatten -> bn -> fc(2)": "flattened elements",
    "flatten -> softmax": "flattened elements",
    "flatten": "flattened elements",
    "local(2, 3x3) -> flatten -> fc(2)": "weights belong to positions",
    "flatten -> distance(3)": "vectors of one length",
    "upsample(size=9x9, mode=nearest, coords=asymmetric) -> flatten -> fc(2)": "no whole factor",
}


@pytest.mark.parametrize("stages", REFUSED)
def test_what_stands_in_the_way_is_said(stages: str, tmp_path: Path) -> None:
    net = netdsl.load(written(tmp_path, f"net A {{ input image: [2, 8, 8]\n output y = image -> {stages}\n}}"))
    with pytest.raises(UserError) as caught:
        convolutionalize(net.graph)
    [found] = caught.value.diagnostics
    assert REFUSED[stages] in found.notes[0]
    assert found.primary is not None


def test_nets_that_look_at_no_single_image_are_refused(tmp_path: Path) -> None:
    for head in ("input x: [9]", "input a, b: [1, 3, 3]\n x = add(a, b) -> flatten"):
        net = netdsl.load(written(tmp_path, f"net A {{ {head}\n output y = x -> fc(2)\n}}"))
        with pytest.raises(UserError, match="one image"):
            convolutionalize(net.graph)


def test_squeeze_and_excitation_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        netdsl.fully_convolutional("zoo:se_resnet50")
    assert "pooled over all of it" in caught.value.diagnostics[0].notes[0]


def test_too_small_an_image_is_an_error_at_the_layer() -> None:
    with pytest.raises(UserError, match="100x100"):
        netdsl.fully_convolutional("zoo:alexnet", size=(100, 100))
