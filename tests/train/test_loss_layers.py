"""Heads that stand in the loss: trained and saved with the network, needed to measure, not to predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.data.digits import digits
from netdsl.diagnostics import UserError
from netdsl.driver import Build, Origin, load
from netdsl.elaborate import Model
from netdsl.trained import load_trained, measure, predictor
from netdsl.trainer import Trainer
from netdsl.weights import read_tensors, write_tensors

NET = """
# a network with a second classifier halfway, in its loss
block Head(classes: int) { return in -> avgpool(global) -> flatten -> fc(16) -> relu -> dropout(0.3) -> fc(classes) }
net Aux(classes: int = 10) {
    input image: [1, 16, 16]
    middle = image -> conv(8, 3x3, stride=2) -> relu
    logits = middle -> conv(8, 3x3, stride=2) -> relu -> flatten -> fc(classes)
    output probs = softmax(logits)
}
train Aux {
    target label: class
    loss cross_entropy(logits, label) + 0.3 * cross_entropy(middle -> Head(classes) as aux1, label)
    sgd(lr = 0.05, momentum = 0.9)
    batch 64
    epochs 1
    metric top1(logits, label)
}
"""
HEADS = {f"loss.aux1.fc{number}.{kind}" for number in (1, 2) for kind in ("weight", "bias")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("net") / "aux.net"
    path.write_text(NET, encoding="utf-8")
    return load(Origin(str(path)))


@pytest.fixture(scope="module")
def run(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "aux"
    Trainer(model, "digits", out=out, threads=1).fit()
    return out


def test_heads_are_trained_and_saved(model: Model, run: Path) -> None:
    trained = load_trained(model, run)
    own = {node.name for node in model.graph.params}
    assert set(trained.parameters) - own == HEADS
    assert np.abs(trained.parameters["loss.aux1.fc2.bias"]).max() > 0
    assert measure(trained, digits(), Build(threads=1, batch=64)).test["top1"] > 0.2


def test_the_network_alone_predicts_but_has_no_loss(model: Model, run: Path, tmp_path: Path) -> None:
    tensors = read_tensors(run / "best.safetensors").tensors
    path = tmp_path / "network.safetensors"
    write_tensors(path, {node.name: tensors[node.name] for node in model.graph.params}, {})
    trained = load_trained(model, path)
    assert not HEADS & set(trained.parameters)
    predictor(trained, Build(threads=1))
    with pytest.raises(UserError, match="layers that its loss has of its own"):
        measure(trained, digits(), Build(threads=1, batch=64))
