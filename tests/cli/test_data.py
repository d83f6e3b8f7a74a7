"""``netdsl data``."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from netdsl.data import open_data
from netdsl.data.summary import TILE, sheet
from tests.cli.conftest import Netdsl


def test_what_is_in_it(netdsl: Netdsl) -> None:
    ended = netdsl("data", "digits")
    assert ended.code == 0 and "1,437 pictures, the first 1x8x8" in ended.out and "targets  class" in ended.out
    assert ["9", "143", "37"] in [line.split()[:3] for line in ended.out.splitlines()]
    ended = netdsl("data", "shapes:objects=3,train=1200,test=30")
    assert "targets  pixels, box" in ended.out and "things in the first 1,000 pictures" in ended.out


def test_for_programs(netdsl: Netdsl) -> None:
    found = netdsl("data", "shapes:train=9,test=6", "--json").json["data"]
    assert found["classes"] == ["circle", "square", "triangle"] and found["targets"] == ["class", "pixels", "box"]
    assert [part["counts"] for part in found["parts"]] == [[3, 3, 3], [2, 2, 2]]


def test_the_sheet(netdsl: Netdsl, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    assert netdsl("data", "shapes:train=4,test=2", "--sheet", str(path), "--grid", "2x3").code == 0
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (2 * TILE + 12, 3 * TILE + 16, 3)
    assert (pixels[TILE + 8 :, TILE + 8 + TILE :] == 255).all()  # (there are four pictures, not six)
    boxed = sheet(open_data("shapes:train=1,test=1"), open_data("shapes:train=1,test=1").train, 1, 1)
    with Image.open(io.BytesIO(boxed)) as picture:
        assert (np.asarray(picture) == (228, 26, 28)).all(axis=2).sum() > 100  # (the outline of a circle's box)


def test_what_is_wrong(netdsl: Netdsl, tmp_path: Path) -> None:
    assert netdsl("data", "digits", "--grid", "6").code == 2
    assert netdsl("data", "voc:nowhere").code == 1
    assert netdsl("data", "digits", "--sheet", str(tmp_path)).code == 1
