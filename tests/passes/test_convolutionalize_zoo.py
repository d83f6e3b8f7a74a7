"""Classifiers of the zoo as dense networks, by numbers: each at a sixteenth of its width."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.reference import Interpreter
from netdsl.report.net_text import net_text
from netdsl.weights import write_tensors
from tests.zoo.nets import show_scores, used_parameters

ZOO = ["alexnet", "alexnet_torchvision", "densenet121", "googlenet", "lenet5", "overfeat_fast", "resnet18", "vgg_a",
       "vgg16_bn", "zfnet"]  # fmt: skip
WITHOUT_PADDING = {"alexnet_torchvision": 32, "lenet5": 4, "vgg_a": 32}
"""Total strides of networks that have some map left where nothing is padded."""
DEVICES = ["cpu", "cpu:avx2", "cpu:sse4"]


def narrow(name: str, folder: Path, padded: bool = True) -> netdsl.Network:
    """A zoo network with a sixteenth of the channels."""
    graph = netdsl.load(f"zoo:{name}").model.graph
    show_scores(graph)
    text = re.sub(r"\b(conv|fc)\((\d+)", lambda found: f"{found[1]}({-(-int(found[2]) // 16)}", net_text(graph).text)
    if not padded:
        text = re.sub(r", pad=(\d+|\w+|\([^)]*\))", "", text)
    path = folder / f"{name}.net"
    path.write_text(text, encoding="utf-8")
    return netdsl.load(path)


def outputs(net: netdsl.Network, given: dict[str, Any], image: Any) -> dict[str, Any]:
    fitted = {name: given[name].reshape(shape) for name, shape in net.parameters.items()}
    return Interpreter(net.model.graph).run({next(iter(net.inputs)): image}, fitted).outputs


def vectors(scores: Any) -> Any:
    """[N, F] of [N, F] or [N, F, 1, 1]: OverFeat is written with convolutions in its file."""
    return scores.reshape(scores.shape[:2])


@pytest.mark.parametrize("name", ZOO)
def test_the_same_scores_on_the_original_size(name: str, tmp_path: Path) -> None:
    net = narrow(name, tmp_path)
    dense, given = netdsl.fully_convolutional(net), used_parameters(net.model.graph)
    [shape] = net.inputs.values()
    image = np.random.default_rng(1).standard_normal((1, *shape))
    for output, wanted in outputs(net, given, image).items():
        found = outputs(dense, given, image)[output]
        assert found.shape == (*wanted.shape[:2], 1, 1)
        np.testing.assert_allclose(found[:, :, 0, 0], vectors(wanted), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["googlenet", "lenet5", "overfeat_fast", "resnet18"])
def test_on_every_kind_of_cpu(name: str, device: str, tmp_path: Path) -> None:
    net = narrow(name, tmp_path)
    dense, given = netdsl.fully_convolutional(net), used_parameters(net.model.graph)
    [(word, shape)] = net.inputs.items()
    image = np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)
    fitted = {parameter: given[parameter].reshape(found) for parameter, found in dense.parameters.items()}
    wanted = vectors(outputs(net, given, image)["scores"])
    found = netdsl.compile(dense, device, threads=1, weights=fitted).run({word: image})["scores"][:, :, 0, 0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", WITHOUT_PADDING)
def test_a_larger_image_is_the_classifier_on_its_crops(name: str, tmp_path: Path) -> None:
    net, stride = narrow(name, tmp_path, padded=False), WITHOUT_PADDING[name]
    [(channels, height, width)] = net.inputs.values()
    dense = netdsl.fully_convolutional(net, size=(height + stride, width + stride))
    given = used_parameters(net.model.graph)
    image = np.random.default_rng(2).standard_normal((1, channels, height + stride, width + stride))
    found = outputs(dense, given, image)["scores"]
    assert found.shape[2:] == (2, 2)
    for row in range(2):
        for col in range(2):
            y, x = row * stride, col * stride
            crop = image[:, :, y : y + height, x : x + width]
            wanted = vectors(outputs(net, given, crop)["scores"])
            np.testing.assert_allclose(found[:, :, row, col], wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["resnet18", "googlenet_torchvision"])
def test_checkpoints_load_into_the_converted_net_as_they_are(name: str, tmp_path: Path) -> None:
    """Names with dots, `layer1.0.conv1.weight`, and matrices that are filters now."""
    net = netdsl.load(f"zoo:{name}")
    dense = netdsl.fully_convolutional(net)
    path, weights = tmp_path / "dense.net", tmp_path / "w.safetensors"
    path.write_text(net_text(dense.model.graph).text, encoding="utf-8")
    given = used_parameters(net.model.graph)
    write_tensors(weights, given, {})
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    fitted = {parameter: given[parameter].reshape(found) for parameter, found in dense.parameters.items()}
    wanted = netdsl.compile(dense, weights=fitted).run({"image": image})["probs"]
    found = netdsl.compile(path, weights=weights).run({"image": image})["probs"]
    np.testing.assert_array_equal(found, wanted)


def test_names_that_differ_only_in_signs_are_told_apart(tmp_path: Path) -> None:
    """A layer `a_b` beside a layer `b` in a block `a`."""
    path = tmp_path / "net.net"
    path.write_text(
        "block B { return in -> conv(2, 1x1) as b }\n"
        "net A { input image: [2, 4, 4]\n x = image -> B as a -> conv(2, 1x1) as a_b\n"
        " output y = x -> flatten -> fc(3) }",
        encoding="utf-8",
    )
    net = netdsl.load(path)
    made = net_text(netdsl.fully_convolutional(net).model.graph)
    assert made.names["a_b.weight"] == "a_b.weight"
    assert made.names["a.b.weight"] == "a_b_.weight"
    dense = tmp_path / "dense.net"
    dense.write_text(made.text, encoding="utf-8")
    given = net.initial_parameters(1)
    image = np.random.default_rng(1).standard_normal((1, 2, 4, 4)).astype(np.float32)
    wanted = netdsl.compile(net, weights=given).run({"image": image})["y"]
    found = netdsl.compile(dense, weights=given).run({"image": image})["y"]
    np.testing.assert_allclose(found[:, :, 0, 0], wanted, rtol=1e-5, atol=1e-6)
