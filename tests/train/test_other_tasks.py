"""Trainings that are no classification of pictures: a target a pixel, and no target at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.data import ArraySplit, Data
from netdsl.diagnostics import UserError
from netdsl.trainer import Trainer

SEGMENT = """
net Segment {
    input image: [1, 12, 12]
    scores = image -> conv(8, 3x3, pad=1, bias=no) -> bn -> relu -> conv(2, 1x1)
    output probs = softmax(scores)
}
train Segment {
    target mask: class [12, 12]
    loss cross_entropy(scores, mask)
    sgd(lr = 0.1, momentum = 0.9)
    batch 5
    epochs 4
    metric pixel_accuracy(scores, mask)
    metric cross_entropy(scores, mask)
}
"""
AUTOENCODE = """
net Autoencode {
    input image: [1, 12, 12]
    code = image -> conv(6, 3x3, stride=2, pad=1) -> tanh
    output decoded = code -> deconv(1, 4x4, stride=2, pad=1) -> sigmoid
}
train Autoencode {
    loss mse(decoded, image)
    sgd(lr = 1.0, momentum = 0.9)
    batch 5
    epochs 4
}
"""


def blobs() -> Data:
    random = np.random.default_rng(3)

    def split(count: int) -> ArraySplit:
        pixels = np.kron(random.integers(0, 2, (count, 1, 4, 4)), np.ones((1, 1, 3, 3))).astype(np.uint8) * 200
        return ArraySplit(pixels, (pixels[:, 0] > 0).astype(np.int64))

    return Data("blobs", ("ground", "blob"), split(32), split(13))


def training(tmp_path: Path, text: str, data: Data) -> Trainer:
    (tmp_path / "x.net").write_text(text)
    return Trainer(tmp_path / "x.net", data, out=tmp_path / "run", threads=1)


def test_a_class_for_every_pixel(tmp_path: Path) -> None:
    result = training(tmp_path, SEGMENT, blobs()).fit()
    assert result.test["pixel_accuracy"] > 0.95
    assert result.test["cross_entropy"] == pytest.approx(result.test["loss"])


def test_no_target_at_all(tmp_path: Path) -> None:
    trainer = training(tmp_path, AUTOENCODE, blobs())
    result = trainer.fit()
    losses = [record["test"]["loss"] for record in result.run.records() if record["kind"] == "epoch"]
    assert losses[-1] < 0.5 * losses[0] and result.progress.best == -min(losses)


def test_a_train_block_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not say how to train"):
        training(tmp_path, SEGMENT.split("train Segment")[0], blobs())
