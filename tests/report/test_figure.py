"""The architecture figure of ``netdsl draw``: what stands in it, where, and as which file."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netdsl.cli.main import run
from netdsl.driver import Origin, load
from netdsl.report.figure import png as pictures
from netdsl.report.figure.parts import MOST_PARTS, Diagram, diagram
from netdsl.report.figure.place import LEVEL, Extent, places
from netdsl.report.figure.primitives import Circle, Figure, Text, bounds, curve
from netdsl.report.figure.scene import figure
from netdsl.report.figure.svg import svg
from tests.report.networks import NOTHING, ONE_LAYER, RESIDUAL, deep

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def graph(tmp_path: Path) -> Any:
    def loaded(text: str) -> Any:
        path = tmp_path / "net.net"
        path.write_text(text, encoding="utf-8")
        return load(Origin(str(path))).graph

    return loaded


def zoo(name: str) -> Any:
    return load(Origin(f"zoo:{name}")).graph


def ops(found: Diagram) -> list[str]:
    return [box.op for box in found.boxes]


def middles(found: Diagram) -> list[float]:
    return places(found, [Extent(40, 60, 60)] * len(found.boxes)).middle[: len(found.boxes)]


def test_touching_up_is_a_mark() -> None:
    found = diagram(zoo("lenet5"))
    assert ops(found) == ["input", "conv", "avgpool", "conv", "avgpool", "fc", "fc", "fc"]
    assert [box.marks for box in found.boxes[1:]] == [
        ["tanh"],
        [],
        ["tanh"],
        ["flatten"],
        ["tanh"],
        ["tanh"],
        ["softmax"],
    ]
    assert found.boxes[4].captions == ["avgpool 2×2", "stride 2", "16×5×5"]
    assert found.edges == [(number, number + 1) for number in range(7)]


@pytest.mark.parametrize(
    ("depth", "parts"),
    [
        (0, ["input", "conv", "block", "block", "avgpool", "fc"]),
        (1, ["input", "conv", "conv", "conv", "add", "conv", "conv", "conv", "add", "avgpool", "fc"]),
    ],
)
def test_depth_opens_blocks(graph: Any, depth: int, parts: list[str]) -> None:
    assert ops(diagram(graph(RESIDUAL), depth)) == parts


def test_large_networks_are_folded_to_what_fits() -> None:
    names = [box.name for box in diagram(zoo("resnet152")).boxes if box.op == "block"]
    assert names == ["layer1", "layer2", "layer3", "layer4"]
    for name in ("resnet50", "densenet121", "googlenet", "unet"):
        assert len(diagram(zoo(name)).boxes) <= MOST_PARTS


@pytest.mark.parametrize("name", ["unet", "unet_bn"])
def test_an_encoder_and_decoder_is_a_u(name: str) -> None:
    found = diagram(zoo(name))
    heights = middles(found)
    convolutions = [height for box, height in zip(found.boxes, heights, strict=True) if box.op in ("conv", "block")]
    steps = [round(height / LEVEL) for height in convolutions]
    turn = steps.index(max(steps))
    assert max(steps) == 4
    assert steps == sorted(steps[:turn]) + sorted(steps[turn:], reverse=True)


def test_a_chain_is_straight_and_paths_meet_on_the_spine() -> None:
    assert set(middles(diagram(zoo("vgg_d")))) == {0.0}
    found = diagram(zoo("googlenet"), 1)
    joins = {height for box, height in zip(found.boxes, middles(found), strict=True) if box.op == "concat"}
    assert joins == {0.0}


def test_boxes_of_a_rank_do_not_overlap() -> None:
    found = diagram(zoo("googlenet"), 1)
    spots = places(found, [Extent(40, 60, 60)] * len(found.boxes))
    columns: dict[float, list[float]] = {}
    for number in range(len(found.boxes)):
        columns.setdefault(spots.left[number], []).append(spots.middle[number])
    for heights in columns.values():
        ordered = sorted(heights)
        assert all(b - a > 119.9 for a, b in pairwise(ordered))


def test_everything_lies_on_the_paper(graph: Any) -> None:
    drawn = figure(graph(RESIDUAL), 1)
    for shape in drawn.shapes:
        if isinstance(shape, Text):
            points = [shape.at]
        else:
            points = [shape.center] if isinstance(shape, Circle) else list(shape.points)
        left, top, right, bottom = bounds(points)
        assert left > 0 and top > 0 and right < drawn.width and bottom < drawn.height
    assert sum(isinstance(shape, Circle) for shape in drawn.shapes) == 2


def test_curves_end_where_they_should() -> None:
    points = curve((0, 0), (10, 4))
    assert points[0] == (0, 0) and points[-1] == (10, 4)
    assert curve((0, 1), (9, 1)) == [(0, 1), (9, 1)]


# -- files -------------------------------------------------------------------------------------------


def test_svg_is_well_formed_and_says_the_sizes() -> None:
    root = ElementTree.fromstring(svg(figure(zoo("lenet5"))))
    texts = [item.text for item in root.iter(f"{SVG}text")]
    assert {"conv 5×5", "6×28×28", "fc", "120", "convolution", "activation"} <= set(texts)
    assert root.find(f"{SVG}title") is not None
    assert {item.tag for item in root.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "title", "rect", "polygon", "polyline", "text")
    }


def test_words_are_escaped() -> None:
    hostile = '</text><script>alert(1)</script>&"'
    drawn = Figure(hostile, 10, 10, [Text((1, 1), hostile, 9, "#000000")])
    root = ElementTree.fromstring(svg(drawn))
    assert [item.text for item in root.iter(f"{SVG}text")] == [hostile]
    assert not list(root.iter(f"{SVG}script"))


def test_png_has_the_size_of_the_figure() -> None:
    from PIL import Image

    drawn = figure(zoo("lenet5"))
    picture = Image.open(io.BytesIO(pictures.png(drawn, 1.5)))
    assert picture.size == (round(drawn.width * 1.5), round(drawn.height * 1.5))
    assert len(set(picture.convert("RGB").resize((200, 80)).tobytes())) > 100


@pytest.mark.parametrize("text", [ONE_LAYER, NOTHING])
def test_the_smallest_networks(graph: Any, text: str) -> None:
    drawn = figure(graph(text))
    ElementTree.fromstring(svg(drawn))
    assert pictures.png(drawn).startswith(b"\x89PNG")


def test_two_thousand_layers(graph: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = graph(deep(2000))
    text = svg(figure(large))
    assert len(text) < 4_000_000
    assert run(["draw", str(tmp_path / "net.net"), "-o", str(tmp_path / "large.png")]) == 4
    assert "draw it as SVG" in capsys.readouterr().err
    assert not (tmp_path / "large.png").exists()


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["draw", "zoo:lenet5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("<svg")
    assert run(["draw", "zoo:lenet5", "--svg", "-o", str(tmp_path / "a.svg")]) == 0
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == text
    for name, options in (("b.png", ()), ("c", ("--png",))):
        assert run(["draw", "zoo:lenet5", "-o", str(tmp_path / name), *options]) == 0
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
