"""Solved sizes agree with elaboration at every size."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.diagnostics import Level, UserError
from netdsl.elaborate import Model, elaborate, limits, load_program
from netdsl.elaborate.probe import Probe
from netdsl.report.legal_sizes import LegalSizes, command_option, helped, legal_sizes, lines, sizes_json, summary
from netdsl.report.size_search import Budget
from netdsl.source import Source

ZOO = Path(__file__).parents[2] / "zoo"
Build = Callable[..., Model]
UP = "mode=nearest, coords=asymmetric"


def builder(text: str, net: str | None = None) -> Build:
    module = load_program(Source("test.net", text))

    def build(probe: Probe | None = None, sizes: dict[str, int] | None = None) -> Model:
        return elaborate(module, net, sizes=sizes, probe=probe)

    return build


def solved(text: str, net: str | None = None) -> LegalSizes:
    return legal_sizes(builder(text, net))[0]


def fits(build: Build, **sizes: int) -> bool:
    try:
        build(sizes=sizes)
    except UserError:
        return False
    return True


def weights(build: Build, **sizes: int) -> list[tuple[int, ...]]:
    return [node.types[0].shape for node in build(sizes=sizes).graph.params]


# -- random networks -------------------------------------------------------------------------------


def random_net(seed: int) -> str:
    """A chain of windows, with joins to earlier values, crops, pads, and now and then a size that is read or fixed."""
    choose = random.Random(seed)
    body, values = [], ["image"]
    for number in range(choose.randint(1, 7)):
        name = f"v{number}"
        body.append(f"{name} = {_layer(choose, values)}")
        values.append(name)
    last = values[-1]
    ends = [last, last, last, f"{last} -> flatten -> fc(3)", f"{last} -> avgpool(global)", _pinned(choose, last)]
    lines = ["net A {", "input image: [2, H, W]", *body, f"output y = {choose.choice(ends)} -> relu", "}", ""]
    return "\n".join(lines)


def _pinned(choose: random.Random, last: str) -> str:
    count = choose.randint(1, 8)
    return f"{last} -> conv(2, 1x1) -> reshape([{2 * count * count}]) -> fc(3)"


def _layer(choose: random.Random, values: list[str]) -> str:
    x, other = values[-1], choose.choice(values)
    kernel = choose.choice(["1x1", "2x2", "3x3", "5x5", "3x1", "1x4"])
    stride = choose.choice(["1", "1", "2", "2", "3", "(2, 1)"])
    pad = choose.choice(["0", "0", "1", "same", "(1, 0)", "(0, 2)"])
    rounding = choose.choice(["floor", "floor", "exact"])
    pooling = choose.choice(["floor", "floor", "ceil", "exact", "ceil_caffe"])
    scale = choose.choice([2, 3])
    kinds = [
        f"{x} -> conv(2, {kernel}, stride={stride}, pad={pad}, round={rounding})",
        f"{x} -> conv(2, {kernel}, stride={stride}, pad={pad})",
        f"{x} -> maxpool({choose.choice([2, 3])}, round={pooling})",
        f"{x} -> avgpool({choose.choice([2, 3])}, stride=2, pad={choose.choice([0, 1])})",
        f"{x} -> upsample({scale}, mode=nearest, coords=asymmetric)",
        f"{x} -> deconv(2, 2x2, stride=2)",
        f"concat({x}, {other})",
        f"concat({x} -> upsample({scale}, mode=nearest, coords=asymmetric), {other})",
        f"add({x} -> conv(2, 1x1), {other} -> conv(2, 1x1))",
        f"crop({other}, like = {x}) -> relu",
        f"pad({other}, like = {x}) -> relu",
        f"{x} -> crop({choose.randint(1, 3)})",
    ]
    if choose.random() < 0.15:
        kinds = [
            f"{x} -> if height({x}) > {choose.randint(3, 20)} {{ maxpool(2) }} else {{ relu }}",
            f"{x} -> if H == 2 * {choose.randint(10, 20)} and not W < 9 {{ maxpool(2) }} else {{ relu }}",
            f"{x} -> crop((H // {choose.randint(3, 9)}, W // 4))",
            f"{x} -> crop((0, 0, 0, W % 3 - {choose.randint(0, 1)}))",
            f"{x} -> conv(2 + width({x}) % 2, 1x1)",
            f"{x} -> maxpool(2) * (H // 60)",
            f"{x} -> upsample(size=((H - 1) // {choose.randint(1, 3)} + 1, width({x}) * 2), {UP})",
            f"{x} -> conv([2, 3, 4, 5, 6, 7, 8, 9, 9, 9][min(H // 30, 9)], 1x1)",
            f"concat({x}, {x} -> maxpool(2) -> upsample(size=(height({x}), width({x})), {UP}))",
            f"{x} -> leaky_relu(0.1 + 0.0 * H) -> conv(round(H / 50) + 1, 1x1)",
        ]
    return choose.choice(kinds)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9))
def test_every_size_is_as_elaboration_says(seed: int) -> None:
    check_against_elaboration(random_net(seed), range(1, 201))


def check_against_elaboration(text: str, sizes: range) -> None:
    build = builder(text)
    try:
        found, _ = legal_sizes(build)
    except UserError:
        assert not any(fits(build, H=size, W=size) for size in sizes), text
        return
    height, width = found.axes
    at_height, at_width = found.point[height], found.point[width]
    heights, widths = found.axes[height].sizes, found.axes[width].sizes
    for size in sizes:
        assert fits(build, H=size, W=at_width) is (size in heights), (text, "H", size)
        assert fits(build, H=at_height, W=size) is (size in widths), (text, "W", size)
    check_combinations(build, found, text)


def check_combinations(build: Build, found: LegalSizes, text: str) -> None:
    heights, widths = [item.sizes for item in found.axes.values()]
    choose = random.Random(text)
    pairs = [(choose.randint(1, 120), choose.randint(1, 120)) for _ in range(60)]
    if found.independent:
        for h, w in pairs:
            assert fits(build, H=h, W=w) is (h in heights and w in widths), (text, h, w)
    else:
        assert found.equal is not None
        for size in range(1, 120):
            assert fits(build, H=size, W=size) is (size in found.equal.sizes), (text, size)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**9))
def test_sizes_that_share_weights(seed: int) -> None:
    text = random_net(seed).replace("-> relu\n}", "-> flatten -> fc(2)\n}")
    build = builder(text)
    try:
        found, _ = legal_sizes(build)
    except UserError:
        return
    height, width = found.axes
    at = found.point[width]
    expected = weights(build, H=found.point[height], W=at)
    for size in range(1, min(260, found.axes[height].tried.every + 1)):
        same = size in found.axes[height].sizes and weights(build, H=size, W=at) == expected
        assert same is (size in found.axes[height].same_weights), (text, size)


# -- known networks --------------------------------------------------------------------------------


def zoo(path: str, shape: str) -> str:
    """A file of the zoo with its sizes left open."""
    text = (ZOO / path).read_text(encoding="utf-8")
    assert shape in text
    channels = shape.split(",", 1)[0]
    return text.replace(shape, f"{channels}, H, W]")


@pytest.mark.parametrize(
    ("path", "net", "shape", "text", "same"),
    [
        ("segmentation/unet.net", None, "[1, 572, 572]", "H >= 188; W >= 188", None),
        ("segmentation/unet_bn.net", None, "[3, height, width]", "H >= 16; W >= 16", None),
        ("classification/vgg.net", "VGG_D", "[3, 224, 224]", "H >= 32; W >= 32", "224 <= H <= 255"),
        ("classification/resnet50.net", "ResNet152", "[3, 224, 224]", "H >= 1; W >= 1", None),
        ("classification/densenet.net", "DenseNet121", "[3, 224, 224]", "H >= 29; W >= 29", None),
        ("classification/googlenet.net", None, "[3, 224, 224]", "H >= 79; W >= 79", "191 <= H <= 238"),
    ],
)
def test_the_zoo(path: str, net: str | None, shape: str, text: str, same: str | None) -> None:
    found = solved(zoo(path, shape), net)
    assert summary(found) == text
    height = next(iter(found.axes))
    assert found.weights_vary is (same is not None)
    if same is not None:
        assert found.axes[height].same_weights.text("H") == same


@pytest.mark.parametrize(
    ("path", "net", "shape"),
    [
        ("classification/vgg.net", "VGG_A", "[3, 224, 224]"),
        ("classification/googlenet_torchvision.net", None, "[3, 224, 224]"),
        ("classification/alexnet_torchvision.net", None, "[3, 224, 224]"),
        ("segmentation/unet.net", None, "[1, 572, 572]"),
    ],
)
def test_the_zoo_agrees_with_elaboration(path: str, net: str | None, shape: str) -> None:
    build = builder(zoo(path, shape), net)
    found, _ = legal_sizes(build)
    height, width = found.axes
    heights = found.axes[height].sizes
    for size in range(1, 330, 4):
        assert fits(build, H=size, W=found.point[width]) is (size in heights), size


SAME_UNET = """
block Double(width: int) { return in -> conv(width, 3x3, pad=1) -> relu -> conv(width, 3x3, pad=1) -> relu }
net UNet(classes: int = 2) {
    input image: [1, H, W]
    e1 = image -> Double(4)
    e2 = e1 -> maxpool(2) -> Double(4)
    e3 = e2 -> maxpool(2) -> Double(4)
    e4 = e3 -> maxpool(2) -> Double(4)
    d = e4 -> maxpool(2) -> Double(4)
    for e in [e4, e3, e2, e1] { d = concat(e, d -> deconv(channels(e), 2x2, stride=2)) -> Double(channels(e)) }
    output scores = d -> conv(classes, 1x1)
}
"""

VALID_UNET = """
block Double(width: int) { return in -> conv(width, 3x3) -> relu -> conv(width, 3x3) -> relu }
net UNet(classes: int = 2) {
    input image: [1, H, W]
    e1 = image -> Double(4)
    e2 = e1 -> maxpool(2, round=exact) -> Double(4)
    e3 = e2 -> maxpool(2, round=exact) -> Double(4)
    e4 = e3 -> maxpool(2, round=exact) -> Double(4)
    d = e4 -> maxpool(2, round=exact) -> Double(4)
    for e in [e4, e3, e2, e1] {
        up = d -> deconv(channels(e), 2x2, stride=2)
        d = concat(crop(e, like = up), up) -> Double(channels(e))
    }
    output scores = d -> conv(classes, 1x1)
}
"""


def one(body: str, shape: str = "[3, H, W]") -> str:
    return f"net A {{\n input x: {shape}\n output y = {body}\n}}\n"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (SAME_UNET, "H = 0 mod 16; W = 0 mod 16"),
        (SAME_UNET.replace("maxpool(2)", "maxpool(2, round=exact)"), "H = 0 mod 16; W = 0 mod 16"),
        (VALID_UNET, "H = 12 mod 16, H >= 188; W = 12 mod 16, W >= 188"),
        (one("x -> conv(8, 3x3)"), "H >= 3; W >= 3"),
        (one("x -> conv(8, 3x7)"), "H >= 3; W >= 7"),
        (one("x -> conv(8, 3x3, pad=1) -> avgpool(global)"), "H >= 1; W >= 1"),
        (one("x -> conv(8, 3x3, pad=1) -> avgpool(to=6x6) -> flatten -> fc(3)"), "H >= 1; W >= 1"),
        (one("x -> conv(8, 3x3, stride=2, round=exact) -> maxpool((2, 3), round=exact)"),
         "H = 1 mod 4, H >= 5; W = 1 mod 6, W >= 7"),
        (one(f"concat(x, x -> conv(8, 3x1, pad=(1, 0), stride=(3, 2)) -> upsample((3, 2), {UP}))"),
         "H = 0 mod 3; W = 0 mod 2"),
        (one("x -> maxpool(2) * 3 -> reshape([3 * 28 * 28]) -> fc(3)", "[3, S, S]"), "224 <= S <= 231"),
        (one("concat(z, x -> maxpool(2) * 3)", "[3, H, W]\n input z: [8, 28, 20]"),
         "224 <= H <= 231; 160 <= W <= 167"),
        (one(f"concat(x, x -> maxpool(4) -> upsample(4, {UP}))", "[3, S, S]"), "S = 0 mod 4"),
    ],
)  # fmt: skip
def test_sizes(source: str, text: str) -> None:
    assert summary(solved(source)) == text


PYRAMID = """
net PSP(classes: int = 3) {
    input image: [3, H, W]
    f = image -> conv(4, 3x3, stride=2, pad=1) -> maxpool(3x3, stride=2, pad=1) -> conv(4, 3x3, stride=2, pad=1)
    all = f
    for n in [1, 2, 3, 6] {
        pooled = f -> avgpool(to=n) -> conv(2, 1x1)
        all = concat(all, pooled -> upsample(size=(height(f), width(f)), mode=bilinear, coords=align_corners))
    }
    output scores = all -> conv(classes, 1x1) -> upsample(size=(H, W), mode=bilinear, coords=align_corners)
}
"""


def test_sizes_that_the_file_calculates_with() -> None:
    assert summary(solved(PYRAMID)) == "H >= 1; W >= 1"
    eighth = PYRAMID.replace("size=(height(f), width(f))", "size=(H // 8, W // 8)")
    assert summary(solved(eighth)) == "H = 0 mod 8; W = 0 mod 8"
    decided = one("if height(x) > 50 { x -> maxpool(4, round=exact) } else { x -> maxpool(2, round=exact) }")
    assert summary(solved(decided)).startswith("H = 0 mod 2, 2 <= H <= 50; or H = 0 mod 4, H >= 52")


def test_fixed_inputs_beside_open_ones() -> None:
    text = one("concat(z, x -> maxpool(2))", "[3, H, W]\n input z: [3, 16, 8]")
    assert summary(solved(text)) == "32 <= H <= 33; 16 <= W <= 17"
    model = elaborate(load_program(Source("test.net", text)), image_size=(33, 16))
    assert model.graph.outputs["y"].type.shape == (6, 16, 8)


def test_two_inputs_of_different_sizes() -> None:
    found = solved(one("concat(z, x -> maxpool(2))", "[3, H, W]\n input z: [3, H2, W2]"))
    assert not found.independent and command_option(found) is None
    assert found.equal is not None and not found.equal.sizes


def test_two_axes_that_depend_on_each_other() -> None:
    found = solved(one("x -> conv(4, 1x1) -> reshape([4 * 4096])"))
    assert not found.independent
    assert found.equal is not None and found.equal.sizes.text("H = W") == "H = W = 64"
    assert lines(found)[:3] == ["H = 64 (with W = 64)", "W = 64 (with H = 64)", "all equal: H = W = 64"]
    assert command_option(found) == "--size 64x64"


def test_a_target_follows_the_input() -> None:
    text = SAME_UNET + (
        "train UNet { target mask: class [H, W]\n loss cross_entropy(scores, mask)\n"
        " sgd(lr = 0.1)\n batch 2\n epochs 1 }"
    )
    assert summary(solved(text)) == "H = 0 mod 16; W = 0 mod 16"
    fixed = text.replace("class [H, W]", "class [64, 96]")
    assert summary(solved(fixed)) == "H = 64; W = 96"


def test_no_size_fits() -> None:
    with pytest.raises(UserError) as caught:
        solved(one("add(x, x -> maxpool(2))"))
    (item,) = caught.value.diagnostics
    assert item.code.id == "N0203" and item.primary is not None and item.primary.span.line == 3
    assert item.notes[-1].startswith("none of ")


def test_a_network_that_takes_all_steps_is_not_built_again_for_its_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NODES", 100)
    build = builder("net A { input image: [3, H, H]\n output y = image -> relu * 300 }")
    built: list[Probe | None] = []

    def counted(probe: Probe | None = None) -> Model:
        built.append(probe)
        return build(probe)

    with pytest.raises(UserError, match="at most 100 layers and weights"):
        legal_sizes(counted, Budget(left=1))
    assert len(built) == 1


def test_other_errors_are_told_as_they_are() -> None:
    with pytest.raises(UserError) as caught:
        solved(one("x -> cnv(8, 3x3)"))
    assert [item.code.id for item in caught.value.diagnostics] == ["N0401"]
    assert not caught.value.diagnostics[0].notes


def test_names_that_are_no_heights() -> None:
    with pytest.raises(UserError) as caught:
        solved("net A { input x: [F]\n output y = x -> relu }")
    assert [item.code.id for item in caught.value.diagnostics] == ["N0206"]
    with pytest.raises(UserError) as caught:
        solved("net A { input x: [W, H, W]\n output y = x -> relu }")
    assert [item.code.id for item in caught.value.diagnostics] == ["N0206"]


def hint(text: str, **sizes: int) -> tuple[str, ...]:
    """The notes of the first error."""
    module = load_program(Source("test.net", text))

    def build(probe: Probe | None = None) -> Model:
        return elaborate(module, sizes=sizes, probe=probe)

    with pytest.raises(UserError) as caught:
        build()
    return next(item for item in helped(caught.value, build).diagnostics if item.level is Level.ERROR).notes


def test_a_join_of_odd_sizes_names_those_that_work() -> None:
    named = hint(SAME_UNET, H=250, W=256)
    assert named[-2:] == ("nearest sizes that work: H = 240 or 256", "all that work: H = 0 mod 16")
    written = hint(SAME_UNET.replace("[1, H, W]", "[1, 250, 100]"))
    assert written[-2] == "nearest sizes that work: height = 240 or 256, width = 96 or 112"
    argument = hint(SAME_UNET.replace("[1, H, W]", "[1, side, side]").replace("int = 2", "int = 2, side: int = 5"))
    assert argument[-2:] == ("nearest sizes that work: side = 16", "all that work: side = 0 mod 16")


def test_a_join_that_no_size_mends_gets_no_note() -> None:
    assert hint(one("concat(x, x -> maxpool(2))", "[3, 64, 64]")) == ()


def test_the_document() -> None:
    document = sizes_json(solved(SAME_UNET))
    assert document["net"] == "UNet" and document["independent"] and document["equal"] is None
    assert document["smallest"] == {"H": 16, "W": 16}
    height = document["axes"]["H"]
    assert (height["modulus"], height["residues"], height["from"], height["ranges"]) == (16, [0], 16, [])
    assert height["text"] == "H = 0 mod 16" and height["same_weights"] is None
    assert height["tried"]["every"] >= 256 and height["tried"]["largest"] > 60_000


def test_large_networks() -> None:
    found = solved(one("x -> (conv(8, 3x3, pad=1) -> bn -> relu) * 3000"))
    assert summary(found) == "H >= 1; W >= 1"
