"""``--checkpoint-activations``: what is said of it, and that training goes on as without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.trainer import Trainer
from tests.cli.conftest import Netdsl, Write

NET = "zoo:shapes_cnn"
SMALL_NET = """
net Small(classes: int = 3) {
    input image: [3, 32, 32]
    maps = image -> ((conv(8, 3x3, pad=1, bias=no) -> bn -> relu) * 3)
    logits = maps -> avgpool(global) -> flatten -> fc(classes)
    output probs = softmax(logits)
}

train Small {
    target label: class
    loss cross_entropy(logits, label)
    sgd(lr = 0.05, momentum = 0.9)
    batch 16
    epochs 1
    metric top1(logits, label)
}
"""
REPORT = ["report", NET, "--batch", 64, "--threads", 1, "--checkpoint-activations"]


def test_the_report_says_what_is_computed_again(netdsl: Netdsl) -> None:
    found = netdsl(*REPORT, "33MB", "--json").json["recomputation"]
    assert found["planned_bytes"] <= found["budget_bytes"] == 33_000_000 < found["ordinary_bytes"]
    assert 0 < found["extra_flops"] == sum(layer["flops"] for layer in found["layers"]) < found["flops"]
    assert all(layer["times"] >= 1 for layer in found["layers"])
    text = netdsl(*REPORT, "33MB").out
    assert f"{found['planned_bytes']:,} bytes" in text and f"{found['extra_flops']:,} a batch" in text
    assert all(layer["name"] in text for layer in found["layers"])


def test_where_all_fits_nothing_is(netdsl: Netdsl) -> None:
    found = netdsl(*REPORT, "1GiB", "--json").json["recomputation"]
    assert found["layers"] == [] and found["planned_bytes"] == found["ordinary_bytes"]
    assert netdsl(*REPORT, "1GiB").out.endswith("nothing is computed again\n")


def test_too_little_ends_with_a_limit(netdsl: Netdsl) -> None:
    ended = netdsl(*REPORT, "1MB")
    assert ended.code == 4
    assert "a training step of `ShapesCNN` at batch 64 does not fit 1,000,000 bytes" in ended.err
    assert "bytes is the smallest plan that was found" in ended.err


@pytest.mark.parametrize("options", [["much"], ["1GiB", "--peak"], ["1GiB", "--fits", "1GiB"], ["1GiB", "--cost"]])
def test_wrong_use(netdsl: Netdsl, options: list[str]) -> None:
    assert netdsl(*REPORT, *options).code == 2


def test_training_takes_the_same_steps(netdsl: Netdsl, write: Write, tmp_path: Path) -> None:
    file, data, runs = write(SMALL_NET), "shapes:size=32,train=32,test=4", tmp_path / "runs"
    train = ["train", file, "--data", data, "--threads", 1, "--dry-run", 2, "--json"]
    found = netdsl("report", file, "--batch", 16, *REPORT[4:], "1GiB", "--json").json["recomputation"]
    ordinary = found["ordinary_bytes"]
    less = ordinary * 8 // 10
    whole = netdsl(*train, "--out", runs / "a").json["losses"]
    assert netdsl(*train, "--out", runs / "b", "--checkpoint-activations", f"{less}B").json["losses"] == whole
    assert netdsl(*train, "--out", runs / "c", "--checkpoint-activations", "10KB").code == 4
    trainer = Trainer(str(file), data, threads=2, out=runs / "d", memory=less)
    assert list(trainer.rehearse(2).losses) == whole
    assert not runs.exists()


def test_an_amount_of_memory_is_a_positive_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="memory"):
        Trainer(NET, "shapes:train=10,test=10", out=tmp_path / "a", memory=0)
