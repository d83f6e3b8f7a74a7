"""What a net can learn from data: classes, classes of pixels, boxes, and several at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import run
from netdsl.data import ArraySplit, Data, open_data
from netdsl.data.annotation import Annotated
from netdsl.diagnostics import UserError
from netdsl.trainer import Trainer

NET = """
block Conv(width: int) {{ return in -> conv(width, 3x3, pad=1, bias=no) -> bn -> relu }}
net Small {{
    input image: [3, 24, 24]
    features = image -> Conv(12) -> Conv(12)
    scores = features -> conv(4, 1x1)
    corners = features -> maxpool(4) -> flatten -> fc(4)
    logits = features -> maxpool(4) -> flatten -> fc(3)
    output scores, corners, logits
}}
train Small {{
    {targets}
    loss {loss}
    sgd(lr = {rate}, momentum = 0.9)
    {augment}
    batch 10
    epochs 6
    {metrics}
}}
"""
UNET = """
block Conv(width: int) { return in -> conv(width, 3x3, pad=1, bias=no) -> bn -> relu }
net Small {
    input image: [3, 24, 24]
    a = image -> Conv(16) * 2
    b = a -> maxpool(2) -> Conv(32) * 2
    c = b -> maxpool(2) -> Conv(48) * 2
    d = concat(b, c -> deconv(32, 2x2, stride=2)) -> Conv(32)
    output scores = concat(a, d -> deconv(16, 2x2, stride=2)) -> Conv(16) -> conv(4, 1x1)
}
train Small {
    target mask: class [24, 24]
    loss cross_entropy(scores, mask)
    sgd(lr = 0.1, momentum = 0.9)
    augment flip, shift(1)
    batch 10
    epochs 4
    metric pixel_accuracy(scores, mask)
}
"""
DATA = "shapes:size=24,train=400,test=60"


def training(
    folder: Path,
    targets: str,
    loss: str,
    *,
    augment: str = "",
    metrics: str = "",
    data: Data | str = DATA,
    rate: float = 0.1,
) -> Trainer:
    text = NET.format(targets=targets, loss=loss, augment=augment, metrics=metrics, rate=rate)
    (folder / "small.net").write_text(text)
    return Trainer(folder / "small.net", data, out=folder / "run", threads=1)


MASK = "target mask: class [24, 24]"


def test_the_class_of_each_pixel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.net").write_text(UNET)
    result = Trainer(tmp_path / "small.net", DATA, out=tmp_path / "run", threads=1).fit()
    test = open_data(DATA).test
    assert isinstance(test, Annotated)
    ground = np.mean([test.pixels(index) == 0 for index in range(60)])
    assert result.progress.best is not None and result.progress.best > ground + 0.02
    found = ["eval", str(tmp_path / "small.net"), "--weights", str(result.run.path), "--data", DATA, "--confusion"]
    assert run(found) == 0 and "ground" in capsys.readouterr().out
    assert run([*found, "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["classes"] == ["ground", "circle", "square", "triangle"]
    assert np.sum(counted["confusion"]) == 60 * 24 * 24


def test_class_and_box_together(tmp_path: Path) -> None:
    targets = "target label: class\ntarget box: [4]"
    loss = "0.2 * cross_entropy(logits, label) + mse(corners, box)"
    trainer = training(
        tmp_path,
        targets,
        loss,
        augment="augment shift(2)",
        metrics="metric top1(logits, label), mse(corners, box)",
        rate=0.003,
    )
    result = trainer.fit()
    epochs = [record["test"] for record in result.run.records() if record["kind"] == "epoch"]
    assert epochs[-1]["mse"] < 0.05 and epochs[-1]["mse"] < 0.8 * epochs[0]["mse"]


def test_pixels_of_no_class_are_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (40, 3, 24, 24), dtype=np.uint8)
    classes = np.full((40, 24, 24), 9, dtype=np.int64)
    classes[:, 5:9] = pixels[:, 0, 5:9] > 127
    data = Data("own", ("a", "b", "c", "d"), ArraySplit(pixels, classes), ArraySplit(pixels, classes))
    loss, metric = "cross_entropy(scores, mask, ignore = 9)", "metric pixel_accuracy(scores, mask, ignore = 9)"
    result = training(tmp_path, MASK, loss, augment="augment shift(3), flip", metrics=metric, data=data).fit()
    assert result.test["pixel_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("targets", "loss", "data", "what"),
    [
        ("target box: [4]", "mse(corners, box)", "digits", "digits has a class number a sample"),
        ("target box: [3]", "mse(logits, box)", DATA, "a class number a sample, a class number for each of"),
        ("target label: class", "cross_entropy(logits, label)", DATA + ",objects=2", "[24, 24] pixels, the box"),
        (
            "target mask: class [12, 12]",
            "cross_entropy(scores -> maxpool(2), mask)",
            DATA,
            "for each of the picture's [24, 24] pixels",
        ),
        (MASK, "cross_entropy(features, mask)", DATA, "scores 12 classes; shapes:size=24"),
    ],
)
def test_targets_that_the_data_do_not_have(tmp_path: Path, targets: str, loss: str, data: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        training(tmp_path, targets, loss, data=data)
    assert what in caught.value.diagnostics[0].title


def test_a_void_that_the_loss_would_count(tmp_path: Path) -> None:
    from tests.data.test_lists import voc

    place = voc(tmp_path)
    (tmp_path / "x.net").write_text(
        "net A {\ninput image: [3, 8, 8]\noutput scores = image -> conv(21, 1x1)\n}\n"
        "train A {\ntarget mask: class [8, 8]\nloss cross_entropy(scores, mask)\nsgd(lr = 0.1)\nbatch 2\nepochs 1\n}\n"
    )
    with pytest.raises(UserError, match="pixels of no class, numbered 255") as caught:
        Trainer(tmp_path / "x.net", f"voc-masks:{place}", out=tmp_path / "run")
    assert "ignore = 255" in str(caught.value.diagnostics[0].help)
    text = (tmp_path / "x.net").read_text().replace("mask)", "mask, ignore = 255)")
    (tmp_path / "x.net").write_text(text)
    result = Trainer(tmp_path / "x.net", f"voc-masks:{place}", out=tmp_path / "run", threads=1).fit()
    assert np.isfinite(result.test["loss"])


def test_colours_of_grey_pictures(tmp_path: Path) -> None:
    (tmp_path / "x.net").write_text(
        "net A {\ninput image: [1, 8, 8]\noutput y = image -> flatten -> fc(10)\n}\n"
        "train A {\ntarget label: class\nloss cross_entropy(y, label)\nsgd(lr = 0.1)\naugment hue(20)\n"
        "batch 2\nepochs 1\n}\n"
    )
    with pytest.raises(UserError, match="`hue` changes colours; `image` has 1 channel"):
        Trainer(tmp_path / "x.net", open_data("digits"), out=tmp_path / "run")
