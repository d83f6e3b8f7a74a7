"""The manual's networks that find boxes and masks, trained and measured from the command line."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import numpy as np

from netdsl.data import open_data
from netdsl.data.annotation import Annotated
from tests.cli.conftest import Netdsl, Write

MANUAL = files("netdsl.grammar").joinpath("README.md").read_text(encoding="utf-8")
FEW = ["--threads", 1, "--workers", 1]


def snippet(net: str) -> str:
    """The manual's file that trains this net."""
    files = re.findall(r"^```net\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    [text] = [text for text in files if f"train {net} " in text]
    return str(text)


def parts(data: str) -> tuple[Annotated, Annotated]:
    found = open_data(data)
    assert isinstance(found.train, Annotated) and isinstance(found.test, Annotated)
    return found.train, found.test


def test_a_class_and_a_box(netdsl: Netdsl, write: Write, tmp_path: Path) -> None:
    """Boxes are nearer than the best that can be said without looking: the mean box (0.44 of that was measured)."""
    data, run = "shapes:train=800,test=150", tmp_path / "run"
    file = write(snippet("Locate"))
    ended = netdsl("train", file, "--data", data, "--out", run, "--epochs", 8, "--batch", 20, *FEW)
    assert ended.code == 0, ended.err
    boxes, others = (
        np.array([thing.box for index in range(len(split)) for thing in split.instances(index)]) / 32
        for split in parts(data)
    )
    blind = np.mean((others - boxes.mean(axis=0)) ** 2)
    last = netdsl("eval", file, "--weights", run / "last.safetensors", "--data", data, "--json").json["test"]
    assert last["mse"] < 0.65 * blind and last["top1"] > 0.45, (last, blind)


def test_a_class_for_each_pixel(netdsl: Netdsl, write: Write, tmp_path: Path) -> None:
    """Fewer pixels are wrong than if all were the ground: three quarters of them were measured."""
    data, run = "shapes:size=16,train=1200,test=100", tmp_path / "run"
    file = write(snippet("Segment").replace("32, 32", "16, 16"))
    ended = netdsl("train", file, "--data", data, "--out", run, *FEW)
    assert ended.code == 0, ended.err
    _, test = parts(data)
    things = np.mean([test.pixels(index) > 0 for index in range(len(test))])
    found = netdsl("eval", file, "--weights", run, "--data", data, "--confusion", "--json").json
    assert 1 - found["test"]["pixel_accuracy"] < 0.85 * things, (found["test"], things)
    counted = np.array(found["confusion"])
    assert found["classes"][0] == "ground" and counted[0].sum() == round((1 - things) * counted.sum())
