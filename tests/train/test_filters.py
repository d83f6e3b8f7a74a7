"""Filters as pictures: where each number is, and in which colour."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netdsl import driver
from netdsl.cli.main import run
from netdsl.diagnostics import ResourceLimit, UserError
from netdsl.driver import Origin
from netdsl.ir.graph import Graph
from netdsl.train.filters import Filters, filters_picture, layer_filters
from netdsl.weights.files import write_tensors
from netdsl.weights.initialize import initial_parameters

NET = """
net Seen(classes: int = 4) {
    input image: [3, 8, 8]
    a = image -> dropout(0.1) -> conv(5, 3x3, pad = 1) -> relu
    b = a -> conv(10, 3x3, pad = 1, groups = 5) -> relu -> conv(3, 1x1) -> conv(7, 3x3)
    template = image -> flatten -> fc(classes)
    output y = add(b -> flatten -> fc(classes), template)
}
"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("nets") / "seen.net"
    path.write_text(NET)
    return driver.load(Origin(str(path))).graph


def pixels(filters: Filters, first: int | None = None) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(filters_picture(filters, first))).convert("RGB"))


def scaled(one: np.ndarray) -> np.ndarray:
    return np.rint(255 * (one.astype(np.float64) - one.min()) / (float(one.max()) - one.min()))


def test_the_first_layer_is_in_colour(graph: Graph) -> None:
    parameters = initial_parameters(graph.params, 1)
    found = layer_filters(graph, parameters)
    assert found.layer == "conv1" and found.coloured and found.values.shape == (5, 3, 3, 3)
    picture = pixels(found)
    # Three columns and two rows of 3x3 taps, each 21 x 21 pixels, two pixels between.
    assert picture.shape == (2 * (63 + 2) + 2, 3 * (63 + 2) + 2, 3)
    for number in range(5):
        top, left = 2 + 65 * (number // 3), 2 + 65 * (number % 3)
        tile = picture[top : top + 63, left : left + 63]
        expected = scaled(parameters["conv1.weight"][number]).transpose(1, 2, 0)
        np.testing.assert_array_equal(tile[::21, ::21], expected)
        np.testing.assert_array_equal(tile, tile[::21, ::21].repeat(21, axis=0).repeat(21, axis=1))
    assert (picture[67:130, 132:] == 255).all() and (picture[:2] == 255).all()


def test_later_layers_are_grey_rows(graph: Graph) -> None:
    parameters = initial_parameters(graph.params, 1)
    found = layer_filters(graph, parameters, "conv4")
    assert not found.coloured and found.values.shape == (7, 3, 3, 3)  # (three channels, but not of the picture)
    picture = pixels(found, first=4)
    assert picture.shape == (4 * 65 + 2, 3 * 65 + 2, 3) and (picture == picture[..., :1]).all()
    expected = scaled(parameters["conv4.weight"][3])
    np.testing.assert_array_equal(picture[2 + 3 * 65 :: 21][:3, 2 + 65 :: 21][:, :3, 0], expected[1])


def test_depthwise_filters_and_templates_are_grids(graph: Graph) -> None:
    parameters = initial_parameters(graph.params, 1)
    depthwise = layer_filters(graph, parameters, "conv2")
    assert depthwise.values.shape == (10, 1, 3, 3)
    assert pixels(depthwise).shape == (3 * 65 + 2, 4 * 65 + 2, 3)
    template = layer_filters(graph, parameters, "fc1")
    assert template.coloured and template.values.shape == (4, 3, 8, 8)
    weight = parameters["fc1.weight"][2].reshape(3, 8, 8)
    np.testing.assert_array_equal(pixels(template)[68:132:8, 2:66:8], scaled(weight).transpose(1, 2, 0))


def test_equal_numbers_are_grey_and_too_many_are_refused() -> None:
    values = np.ones((3, 1, 2, 2), np.float32)
    values[1, 0, 0, 0] = np.nan
    assert set(np.unique(pixels(Filters("conv1", values, True)))) == {128, 255}
    many = np.zeros((5500, 2, 1, 1), np.float32)
    with pytest.raises(ResourceLimit, match="picture of 16502 pixels"):
        filters_picture(Filters("conv1", many, False))
    assert pixels(Filters("conv1", many, False), first=10).shape[0] == 10 * (64 + 2) + 2


@pytest.mark.parametrize("name", ["relu1", "fc2", "conv9"])
def test_layers_without_filters_are_refused(graph: Graph, name: str) -> None:
    with pytest.raises(UserError) as caught:
        layer_filters(graph, initial_parameters(graph.params, 1), name)
    [found] = caught.value.diagnostics
    assert name in found.title and "conv1, conv2, conv3, conv4, fc1" in found.notes[0]


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parameters = initial_parameters(driver.load(Origin("zoo:lenet5")).graph.params, 5)
    write_tensors(tmp_path / "w.safetensors", parameters, {})
    base = ["filters", "zoo:lenet5", "--weights", str(tmp_path / "w.safetensors"), "-o"]
    assert run([*base, str(tmp_path / "f.png"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["layer"], found["shape"], found["coloured"]) == ("conv1", [6, 1, 5, 5], False)
    assert Image.open(found["picture"]).size == (3 * 62 + 2, 2 * 62 + 2)
    assert run([*base, str(tmp_path / "g.png"), "--layer", "conv2", "--first", "3"]) == 0
    assert "conv2: 16 filters of 6 x 5 x 5" in capsys.readouterr().out
    assert run([*base, str(tmp_path / "f.svg")]) == 2
    assert run([*base, str(tmp_path / "none" / "f.png")]) == 1
    assert run([*base, str(tmp_path / "h.png"), "--layer", "tanh1"]) == 1
    assert "it has no filters" in capsys.readouterr().err and not (tmp_path / "h.png").exists()
