"""``netdsl report --receptive-field``: exact numbers, and the figure."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdsl.analysis.unit import unit_field
from netdsl.data.picture import write_picture
from netdsl.driver import Origin, load
from netdsl.report.figure.field import field_figure
from netdsl.report.figure.primitives import Polygon
from tests.cli.conftest import Netdsl, Write

SVG = "{http://www.w3.org/2000/svg}"
ENLARGED = """net A {
    input image: [3, 15, 12]
    up = image -> conv(4, 3x3, stride=2, pad=1) as small -> upsample(3, mode=bilinear, coords=half_pixel) as large
    output y = up -> flatten -> fc(2)
}
"""


def test_the_unit_in_the_middle(netdsl: Netdsl, lenet: Path) -> None:
    ended = netdsl("report", lenet, "--receptive-field", "conv2")
    assert ended.code == 0 and not ended.err
    assert ended.out.startswith("LeNet5: unit (5, 5) of conv2 [16, 10, 10] over image [1, 32, 32]\n")
    assert "10 .. 23" in ended.out and "It sees 196 of the 1,024 pixels of image (19 %)." in ended.out


def test_padding_is_told_apart(netdsl: Netdsl) -> None:
    document = netdsl("report", "zoo:resnet18", "--receptive-field", "layer1.0.conv1,0,55", "--json").json
    rows, columns = document["axes"]
    assert document["unit"] == [0, 55] and document["input_shape"] == [3, 224, 224]
    assert (rows["size"], rows["jump"], rows["start"]) == (19, 4, 0)
    assert (rows["first"], rows["last"], rows["inside"], rows["padding"]) == (-9, 9, 10, [9, 0])
    assert (columns["first"], columns["last"], columns["inside"], columns["padding"]) == (211, 229, 13, [0, 6])


def test_fractions_are_exact(netdsl: Netdsl, write: Write) -> None:
    document = netdsl("report", write(ENLARGED), "--receptive-field", "large,4,5", "--json").json
    found = document["axes"][0]
    # Position o lies at (o - 1)/3 of the small map and reads at most 2/3 further; p there reads 2p - 1 to 2p + 1.
    assert found["exact"] == {"low": "-1/3", "high": "13/3", "size": "17/3", "jump": "2/3", "start": "-2/3"}
    assert (found["first"], found["last"], found["pixels"]) == (0, 4, 5)
    assert document["axes"][1]["exact"]["low"] == str(2 * (Fraction(5 - 1, 3) - Fraction(2, 3)) - 1)


def test_behind_flatten_everything_may_be_seen(netdsl: Netdsl, write: Write) -> None:
    ended = netdsl("report", write(ENLARGED), "--receptive-field", "fc1")
    assert ended.code == 0 and "any unit of fc1 [2]" in ended.out
    assert "180 of the 180 pixels" in ended.out and "small" in ended.out.partition("have a place")[2]
    layers = netdsl("report", write(ENLARGED), "--receptive-field", "y", "--json").json["layers"]
    assert [layer["name"] for layer in layers] == ["small", "large"]


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("conv3", "did you mean `conv1`"),
        ("conv2,10,0", "its map is 10 x 10: rows 0 to 9, columns 0 to 9"),
        ("conv2,0,-1", "rows 0 to 9"),
        ("fc1,0,0", "it has no rows and columns"),
    ],
)
def test_units_that_are_not_there(netdsl: Netdsl, lenet: Path, unit: str, said: str) -> None:
    ended = netdsl("report", lenet, "--receptive-field", unit)
    assert ended.code == 1 and said in ended.err and not ended.out


def test_a_block_has_a_last_layer(netdsl: Netdsl) -> None:
    ended = netdsl("report", "zoo:resnet18", "--receptive-field", "layer1.0")
    assert ended.code == 1 and "its last layer is `layer1.0.relu" in ended.err


def test_networks_without_maps(netdsl: Netdsl, small: Path) -> None:
    ended = netdsl("report", small, "--receptive-field", "fc1")
    assert ended.code == 1 and "depends on no input with height and width" in ended.err


@pytest.mark.parametrize(
    "options",
    [
        ["--image", "a.png"],
        ["-o", "field.svg"],
        ["--receptive-field", "conv1", "--image", "a.png"],
        ["--receptive-field", "conv1", "-o", "field.gif"],
        ["--receptive-field", "conv1,2"],
        ["--receptive-field", "conv1", "--fits", "1GiB"],
        ["--receptive-field", "conv1", "--html", "page.html"],
    ],
)
def test_wrong_use(netdsl: Netdsl, lenet: Path, options: list[str]) -> None:
    assert netdsl("report", lenet, *options).code == 2


def test_the_face_lies_where_the_field_is(lenet: Path) -> None:
    graph = load(Origin(str(lenet))).graph
    found = unit_field(graph, "conv2", (0, 9))
    shapes = [shape for shape in field_figure(found, None).shapes if isinstance(shape, Polygon)]
    ground, face = shapes[0].points, next(shape for shape in shapes if shape.opacity < 1).points
    pixel = (ground[2][0] - ground[0][0]) / 32
    corners = [((x - ground[0][0]) / pixel, (y - ground[0][1]) / pixel) for x, y in (face[0], face[2])]
    assert [tuple(round(part, 6) for part in corner) for corner in corners] == [(18, 0), (32, 14)]


def test_figures_on_a_picture(netdsl: Netdsl, lenet: Path, tmp_path: Path) -> None:
    from PIL import Image

    picture = np.zeros((3, 50, 70), np.float32)
    picture[2] = 1  # blue, which an input of one channel sees as dark grey
    write_picture(tmp_path / "blue.png", picture)
    arguments = ["report", lenet, "--receptive-field", "conv1,0,0", "--image", tmp_path / "blue.png", "-o"]
    assert netdsl(*arguments, tmp_path / "field.svg").code == 0
    root = ElementTree.parse(tmp_path / "field.svg").getroot()
    [image] = root.findall(f"{SVG}image")
    assert image.get("href", "").startswith("data:image/png;base64,")
    assert netdsl(*arguments, tmp_path / "field.png").code == 0
    with Image.open(tmp_path / "field.png") as opened:
        pixels: Any = np.asarray(opened.convert("RGB")).astype(int)
    grey = round(0.114 * 255)
    middle = pixels[pixels.shape[0] // 2, 300]
    assert np.abs(middle - grey).max() <= 1
    seen = pixels[150, 110]
    assert seen[0] > 60 and seen[0] > seen[2] + 30
    assert netdsl(*arguments, tmp_path / "again.png").code == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "field.png").read_bytes()
    assert netdsl(*arguments[:5], tmp_path / "none.png", "-o", tmp_path / "x.svg").code == 1
    assert not (tmp_path / "x.svg").exists()


def test_pictures_in_any_mode_become_png() -> None:
    from PIL import Image

    from netdsl.data.picture import picture_bytes

    for channels, mode in ((1, "L"), (3, "RGB")):
        with Image.open(io.BytesIO(picture_bytes(np.full((channels, 4, 5), 0.5, np.float32)))) as opened:
            assert opened.mode == mode and opened.size == (5, 4)
