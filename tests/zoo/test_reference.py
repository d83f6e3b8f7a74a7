"""The zoo's numbers equal those of the published models.

``networks.csv`` and ``layers.csv`` hold parameters, multiply-accumulates, shapes and receptive fields computed from the
sources named there (torchvision, Caffe's and SENet's published definitions, or the paper's figure), and the names
that their layers have there. Conventions: parameters include scale and shift of batch normalization, not its
running statistics; multiply-accumulates are those of convolutions and fully connected layers, taps on padding included.
"""

from __future__ import annotations

import csv
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from netdsl.zoo import NETWORKS

from netdsl.analysis.cost import layer_costs, totals
from netdsl.analysis.receptive import Receptive, receptive_fields
from netdsl.diagnostics import Code
from netdsl.driver import Origin, load
from netdsl.ir.graph import Graph
from netdsl.resolve import resolve, zoo_names

FOLDER = Path(__file__).parent


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def graph(name: str) -> Graph:
    return load(Origin(f"zoo:{name}")).graph


@cache
def fields(name: str) -> Receptive:
    return receptive_fields(graph(name))


@pytest.mark.parametrize("row", rows("networks.csv"), ids=lambda row: row["net"])
def test_totals(row: dict[str, str]) -> None:
    found = totals(layer_costs(graph(row["net"])))
    assert (found.params, found.macs) == (int(row["params"]), int(row["macs"]))
    assert found.trainable_params == found.params
    assert graph(row["net"]).inputs[0].types[0].shape == tuple(map(int, row["input"].split("x")))


@pytest.mark.parametrize("row", rows("layers.csv"), ids=lambda row: f"{row['net']}-{row['layer']}")
def test_layer(row: dict[str, str]) -> None:
    value = graph(row["net"]).node(row["layer"]).output
    assert value.type.shape == tuple(map(int, row["output_shape"].split("x")))
    if row["rf_size"]:
        field = fields(row["net"]).fields[value]
        expected = {what: Fraction(row[f"rf_{what}"]) for what in ("size", "jump", "start") if row[f"rf_{what}"]}
        for extent in (field.height, field.width):
            assert {what: getattr(extent, what) for what in expected} == expected


def test_unet_bn_by_formula() -> None:
    def double(inner: int, outer: int) -> tuple[int, int]:
        """(parameters, multiply-accumulates a pixel)."""
        macs = 9 * inner * outer + 9 * outer * outer
        return macs + 4 * outer, macs

    params, macs, size, channels = 0, 0, 572, 3
    sizes = []
    for width in (64, 128, 256, 512, 1024):
        p, m = double(channels, width)
        params, macs, channels = params + p, macs + m * size**2, width
        sizes.append(size)
        size //= 2
    for width, size, below in zip((512, 256, 128, 64), sizes[-2::-1], sizes[:0:-1], strict=True):
        p, m = double(2 * width, width)
        params += p + 4 * 2 * width * width + width
        macs += m * size**2 + 4 * 2 * width * width * below**2
    params, macs = params + 64 * 2 + 2, macs + 64 * 2 * 572**2
    found = totals(layer_costs(graph("unet_bn")))
    assert (found.params, found.macs) == (params, macs)
    assert graph("unet_bn").outputs["scores"].type.shape == (2, 572, 572)


MISALIGNED = {"bn_inception": 2, "se_bn_inception": 2}
"""Joins, as published, of convolutions with padding and a pooling without, half a step apart."""


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_paths_line_up(name: str) -> None:
    found = fields(name).warnings
    assert [item.code for item in found] == [Code.MISALIGNED_JOIN] * MISALIGNED.get(name, 0)


def test_the_heads_of_googlenet_exist_in_training_only() -> None:
    """13,378,280 parameters as in Caffe's train_val.prototxt: two heads more, on 4a and 4d."""
    model = load(Origin("zoo:googlenet"))
    assert model.train is not None
    inference, training = (totals(layer_costs(graph)) for graph in (model.graph, model.train.graph))
    heads = sum(c * 128 + 128 + 4 * 4 * 128 * 1024 + 1024 + 1024 * 1000 + 1000 for c in (512, 528))
    assert training.params - inference.params == heads
    assert (inference.params, training.params) == (6_998_552, 13_378_280)


def test_every_network_has_numbers() -> None:
    assert {row["net"] for row in rows("networks.csv")} == set(zoo_names())


def test_as_short_as_in_a_paper() -> None:
    for name in zoo_names():
        text = resolve(f"zoo:{name}").path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 70 and text.startswith("# "), name
    assert len(resolve("zoo:resnet50").path.read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.parametrize(
    ("net", "parameters"),
    [
        ("alexnet_torchvision", {"features.10.weight": (256, 256, 3, 3), "classifier.6.bias": (1000,)}),
        ("vgg_d", {"features.28.weight": (512, 512, 3, 3), "classifier.3.weight": (4096, 4096)}),
        ("resnet18", {"layer4.0.downsample.0.weight": (512, 256, 1, 1), "layer1.1.conv2.weight": (64, 64, 3, 3)}),
        ("resnet50", {"layer3.5.bn3.running_var": (1024,), "layer2.0.downsample.1.weight": (512,)}),
        ("resnext50_32x4d", {"layer1.0.conv2.weight": (128, 4, 3, 3), "layer4.2.conv3.weight": (2048, 1024, 1, 1)}),
        ("densenet121", {"features.denseblock4.denselayer16.conv2.weight": (32, 128, 3, 3),
                         "features.transition3.conv.weight": (512, 1024, 1, 1), "classifier.weight": (1000, 1024)}),
        ("se_resnet50", {"layer0.conv1.weight": (64, 3, 7, 7), "layer4.2.se_module.fc2.weight": (2048, 128, 1, 1),
                         "layer2.0.downsample.0.weight": (512, 256, 1, 1), "last_linear.weight": (1000, 2048)}),
        ("unet_bn", {"inc.double_conv.0.weight": (64, 3, 3, 3), "down4.maxpool_conv.1.double_conv.4.bias": (1024,),
                     "up1.up.weight": (1024, 512, 2, 2), "up4.conv.double_conv.3.weight": (64, 64, 3, 3),
                     "outc.conv.bias": (2,)}),
        ("vgg16_bn", {"features.41.running_mean": (512,), "features.40.weight": (512, 512, 3, 3)}),
        ("googlenet_torchvision", {"inception4e.branch4.1.conv.weight": (128, 528, 1, 1), "conv1.bn.weight": (64,),
                                   "inception3a.branch3.1.bn.running_var": (32,), "fc.bias": (1000,)}),
        ("inception_resnet_v2", {"conv2d_1a.conv.weight": (32, 3, 3, 3), "mixed_5b.branch3.1.bn.bias": (64,),
                                 "repeat_1.19.branch1.2.conv.weight": (192, 160, 7, 1), "block8.conv2d.bias": (2080,),
                                 "mixed_7a.branch2.2.conv.weight": (320, 288, 3, 3)}),
        ("senet154", {"layer0.conv3.weight": (128, 64, 3, 3), "layer2.0.downsample.0.weight": (512, 256, 3, 3)}),
        ("densenet161", {"features.denseblock3.denselayer36.conv2.weight": (48, 192, 3, 3)}),
        ("alexnet", {"conv2.weight": (256, 48, 5, 5), "fc6.weight": (4096, 9216)}),
    ],
)  # fmt: skip
def test_published_names(net: str, parameters: dict[str, tuple[int, ...]]) -> None:
    """Weights files of these models load by name."""
    shapes = {node.name: node.output.type.shape for node in graph(net).params}
    assert {name: shapes.get(name) for name in parameters} == parameters


@pytest.mark.parametrize(
    ("net", "tensors"),
    [("resnet18", 102), ("resnet50", 267), ("densenet121", 606), ("vgg_d", 32), ("vgg16_bn", 84), ("resnet152", 777)],
)
def test_number_of_tensors(net: str, tensors: int) -> None:
    """As many as torchvision's files hold, its ``num_batches_tracked`` left out."""
    assert len(graph(net).params) == tensors


def test_the_readme_says_the_same() -> None:
    text = (Path(str(files("netdsl.zoo"))) / "README.md").read_text(encoding="utf-8")
    for row in rows("networks.csv"):
        name, found = row["net"], totals(layer_costs(graph(row["net"])))
        cells = f"| `{name}` | {row['input']} | {found.params:,} | {found.macs:,} | {found.flops:,} |"
        assert cells in text
