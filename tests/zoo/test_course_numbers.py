"""What two courses on convolutional networks put on their slides, where it can be checked without data.

Each case names the slide's statement. ``tests/zoo/networks.csv`` holds whole networks; here are single layers, sizes,
receptive fields, counts of layers and units, and comparisons between networks.
"""

from __future__ import annotations

from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import pytest

from netdsl.analysis.cost import Totals, layer_costs, totals
from netdsl.analysis.receptive import receptive_fields
from netdsl.driver import Origin, load
from netdsl.ir.graph import Graph
from netdsl.reference import Interpreter


@cache
def zoo(name: str) -> Graph:
    return load(Origin(f"zoo:{name}")).graph


def net(folder: Path, shape: str, body: str) -> Graph:
    """The graph of ``image -> body``."""
    path = folder / "course.net"
    path.write_text(f"net Course {{ input image: {shape}\noutput y = image -> {body} }}", encoding="utf-8")
    return load(Origin(str(path))).graph


def counted(graph: Graph) -> Totals:
    return totals(layer_costs(graph))


@pytest.mark.parametrize(
    ("shape", "body", "result"),
    [
        ("[1, 7, 7]", "conv(1, 3x3)", (1, 5, 5)),
        ("[1, 7, 7]", "conv(1, 3x3, stride=2)", (1, 3, 3)),
        ("[1, 7, 7]", "conv(1, 3x3, pad=1)", (1, 7, 7)),
        ("[1, 9, 9]", "conv(1, 3x3, pad=1)", (1, 9, 9)),
        ("[1, 9, 9]", "conv(1, 5x5, pad=2)", (1, 9, 9)),
        ("[1, 9, 9]", "conv(1, 7x7, pad=3)", (1, 9, 9)),
        ("[1, 7, 7]", "conv(1, 3x3, stride=3)", (1, 2, 2)),
        ("[1, 7, 7]", "maxpool(3x3, stride=3, round=ceil)", (1, 3, 3)),
        ("[1, 1000, 1000]", "conv(100, 10x10, pad=same)", (100, 1000, 1000)),
        ("[1, 1000, 1000]", "conv(100, 10x10)", (100, 991, 991)),
        ("[3, 32, 32]", "conv(5, 5x5)", (5, 28, 28)),
        ("[3, 32, 32]", "conv(5, 5x5) -> conv(5, 5x5)", (5, 24, 24)),
        ("[1, 4, 4]", "conv(1, 3x3, pad=1)", (1, 4, 4)),
        ("[1, 4, 4]", "conv(1, 3x3, stride=2, pad=1)", (1, 2, 2)),
        ("[1, 2, 2]", "deconv(1, 3x3, stride=2, pad=1)", (1, 3, 3)),
        ("[1, 2, 2]", "deconv(1, 3x3, stride=2, pad=1, output_pad=1)", (1, 4, 4)),
        ("[1, 2, 2]", "deconv(1, 3x3, stride=2)", (1, 5, 5)),
        ("[3, 224, 224]", "conv(96, 11x11, stride=4)", (96, 54, 54)),
        ("[3, 227, 227]", "conv(96, 11x11, stride=4)", (96, 55, 55)),
        ("[3, 448, 448]", "conv(8, 64x64, stride=64)", (8, 7, 7)),
    ],
)
def test_sizes(shape: str, body: str, result: tuple[int, ...], tmp_path: Path) -> None:
    assert net(tmp_path, shape, body).outputs["y"].type.shape == result


@pytest.mark.parametrize(
    ("shape", "body", "parameters"),
    [
        ("[1, 1000, 1000]", "conv(100, 10x10, bias=no)", 10_000),
        ("[7]", "fc(3, bias=no)", 21),
        ("[1, 1, 7]", "local(1, 1x3, stride=(1, 2), bias=no)", 9),
        ("[1, 1, 7]", "conv(1, 1x3, stride=(1, 2), bias=no)", 3),
        ("[3, 32, 32]", "conv(5, 5x5)", 380),
        ("[1, 9, 9]", "conv(1, 3x3, bias=no) -> conv(1, 3x3, bias=no) -> conv(1, 3x3, bias=no)", 27),
        ("[1, 9, 9]", "conv(1, 7x7, bias=no)", 49),
        ("[4, 9, 9]", "conv(4, 3x3, bias=no) -> conv(4, 3x3, bias=no) -> conv(4, 3x3, bias=no)", 27 * 16),
        ("[4, 9, 9]", "conv(4, 7x7, bias=no)", 49 * 16),
        ("[3, 227, 227]", "conv(96, 11x11, stride=4)", 34_944),
        ("[4096]", "fc(1000)", 4_097_000),
        ("[4096]", "fc(4)", 16_388),
        ("[8, 4, 4]", "bn", 16),
    ],
)
def test_parameters(shape: str, body: str, parameters: int, tmp_path: Path) -> None:
    assert counted(net(tmp_path, shape, body)).params == parameters


@pytest.mark.parametrize(
    ("shape", "body", "macs"),
    [
        ("[3, 32, 32]", "conv(5, 5x5, bias=no)", 294_000),
        ("[192, 28, 28]", "conv(16, 1x1)", 2_408_448),
        ("[16, 28, 28]", "conv(32, 5x5, pad=2)", 10_035_200),
    ],
)
def test_multiplications(shape: str, body: str, macs: int, tmp_path: Path) -> None:
    """A 5x5x3 window is a 75-dimensional product; a 1x1 convolution in front of a 5x5 saves most of its cost."""
    assert counted(net(tmp_path, shape, body)).macs == macs


@pytest.mark.parametrize(("layers", "size"), [(1, 3), (2, 5), (3, 7)])
def test_a_stack_of_3x3_sees_as_far_as_a_larger_one(layers: int, size: int, tmp_path: Path) -> None:
    graph = net(tmp_path, "[1, 32, 32]", " -> ".join(["conv(1, 3x3)"] * layers))
    assert receptive_fields(graph).fields[graph.outputs["y"]].height.size == size


def weighted(name: str) -> dict[str, int]:
    """Convolutions and fully connected layers of a network."""
    ops = [node.op for node in zoo(name).nodes]
    return {op: ops.count(op) for op in ("conv", "fc")}


@pytest.mark.parametrize(
    ("name", "conv", "fc"),
    [
        ("alexnet", 5, 3), ("vgg_a", 8, 3), ("vgg_a_lrn", 8, 3), ("vgg_b", 10, 3), ("vgg_c", 13, 3), ("vgg_d", 13, 3),
        ("vgg_e", 16, 3), ("lenet5", 2, 3),
    ],
)  # fmt: skip
def test_layers_with_weights(name: str, conv: int, fc: int) -> None:
    """11, 11, 13, 16, 16 and 19 in the VGG paper's columns, 8 in AlexNet."""
    assert weighted(name) == {"conv": conv, "fc": fc}


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_depth_of_residual_networks(depth: int) -> None:
    """2 + 2 * 8, 2 + 2 * 16, 2 + 3 * 16, 2 + 3 * 33, 2 + 3 * 50: without the convolutions on skip paths."""
    skips = sum("downsample" in node.name for node in zoo(f"resnet{depth}").nodes if node.op == "conv")
    assert sum(weighted(f"resnet{depth}").values()) - skips == depth


def test_vgg_c_has_three_1x1_convolutions() -> None:
    kernels = [node.attrs["kernel"] for node in zoo("vgg_c").nodes if node.op == "conv"]
    assert kernels.count((1, 1)) == 3
    assert {node.attrs["kernel"] for node in zoo("vgg_d").nodes if node.op == "conv"} == {(3, 3)}


def test_units_of_alexnet() -> None:
    """650,000 neurons: 290,400 + 186,624 + 2 * 64,896 + 43,264 + 2 * 4,096 + 1,000."""
    assert sum(node.output.type.elements for node in zoo("alexnet").nodes if node.op in ("conv", "fc")) == 659_272


def test_shapes_of_alexnet_on_the_slide() -> None:
    shapes = {
        "conv1": (96, 55, 55), "pool1": (96, 27, 27), "norm1": (96, 27, 27), "conv2": (256, 27, 27),
        "pool2": (256, 13, 13), "norm2": (256, 13, 13), "conv3": (384, 13, 13), "conv4": (384, 13, 13),
        "conv5": (256, 13, 13), "pool3": (256, 6, 6), "fc6": (4096,), "fc7": (4096,), "fc8": (1000,),
    }  # fmt: skip
    assert {name: zoo("alexnet_lecture").node(name).output.type.shape for name in shapes} == shapes
    order = [node.name for node in zoo("alexnet_lecture").nodes]
    assert order.index("pool1") < order.index("norm1")


def test_groups_of_alexnet() -> None:
    groups = {node.name: node.attrs["groups"] for node in zoo("alexnet").nodes if node.op == "conv"}
    assert groups == {"conv1": 1, "conv2": 2, "conv3": 1, "conv4": 2, "conv5": 2}
    assert counted(zoo("alexnet_lecture")).params == 62_378_344


CONNECTED = ("conv", "fc", "scale", "distance")


def connections(graph: Graph) -> int:
    """As LeCun counts them: every use of a weight or bias; a unit of a pooled map has four inputs and a bias."""
    total = 0
    for node in graph.layers:
        if node.op not in CONNECTED:
            continue
        weight = node.inputs[1].type
        units = node.output.type.elements
        if node.op == "scale":
            total += units * 5
        else:
            total += units * (prod(weight.shape[1:]) + (len(node.inputs) > 2))
    return total


@pytest.mark.parametrize(("name", "count"), [("lenet1", 98_442), ("lenet5_1998", 340_908)])
def test_connections_of_lenets(name: str, count: int) -> None:
    assert connections(zoo(name)) == count


def test_a_table_makes_convolutions_sparse() -> None:
    links = {
        name: sum(n.inputs[0].type.shape[0] for n in zoo(name).layers if n.op == "conv" and n.name.startswith("c3."))
        for name in ("lenet1", "lenet5_1998")
    }
    assert links == {"lenet1": 20, "lenet5_1998": 60}


@pytest.mark.parametrize(
    ("name", "plain", "gated"),
    [
        ("resnet50_v1", 3.86, None), ("se_resnet50", None, 3.87), ("resnext50_32x4d", 4.24, None),
        ("se_resnext50", None, 4.25), ("resnext101_32x4d", 7.99, None), ("se_resnext101", None, 8.00),
        ("vgg_d", 15.47, None), ("se_vgg16", None, 15.48),
    ],
)  # fmt: skip
def test_operations_in_the_senet_table(name: str, plain: float | None, gated: float | None) -> None:
    """Its "GFLOPs" are multiply-accumulates, within half a percent: it seems to count elementwise layers too."""
    assert counted(zoo(name)).macs / 1e9 == pytest.approx(plain or gated, rel=5e-3)


@pytest.mark.parametrize("groups", ["2x40d", "4x24d", "8x14d", "32x4d"])
@pytest.mark.parametrize("depth", [50, 101])
def test_cardinality_keeps_complexity(depth: int, groups: str) -> None:
    found, plain = counted(zoo(f"resnext{depth}_{groups}")), counted(zoo(f"resnet{depth}"))
    assert found.params == pytest.approx(plain.params, rel=0.05) and found.macs == pytest.approx(plain.macs, rel=0.05)


def run(graph: Graph, image: list[list[float]], **params: np.ndarray) -> np.ndarray:
    result = Interpreter(graph).run({"image": np.array([[image]], np.float32)}, params)
    return np.asarray(next(iter(result.outputs.values())))[0, 0]


def test_nearest_neighbour_unpooling(tmp_path: Path) -> None:
    graph = net(tmp_path, "[1, 2, 2]", "upsample(2, mode=nearest, coords=asymmetric)")
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    np.testing.assert_array_equal(run(graph, [[1, 2], [3, 4]]), expected)


def test_bed_of_nails_is_a_transposed_convolution(tmp_path: Path) -> None:
    graph = net(tmp_path, "[1, 2, 2]", "deconv(1, 1x1, stride=2, output_pad=1, bias=no)")
    found = run(graph, [[1, 2], [3, 4]], **{"deconv1.weight": np.ones((1, 1, 1, 1), np.float32)})
    np.testing.assert_array_equal(found, [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]])


def test_max_pooling(tmp_path: Path) -> None:
    graph = net(tmp_path, "[1, 4, 4]", "maxpool(2)")
    found = run(graph, [[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])
    np.testing.assert_array_equal(found, [[5, 6], [7, 8]])


FILTER = np.array([2.0, 3.0, 5.0], np.float32).reshape(1, 1, 1, 3)


@pytest.mark.parametrize(("stride", "rows"), [(1, 4), (2, 2)])
def test_convolution_as_a_matrix(stride: int, rows: int, tmp_path: Path) -> None:
    """With x, y, z = 2, 3, 5: (a y + b z, a x + b y + c z, ...), at stride 2 every other row of it."""
    graph = net(tmp_path, "[1, 1, 4]", f"conv(1, 1x3, stride=(1, {stride}), pad=(0, 1), bias=no)")
    full = np.array([[3, 5, 0, 0], [2, 3, 5, 0], [0, 2, 3, 5], [0, 0, 2, 3]])
    found = run(graph, [[7, 11, 13, 17]], **{"conv1.weight": FILTER})
    np.testing.assert_array_equal(found, [(full[::stride] @ [7, 11, 13, 17])[:rows]])


def test_transposed_convolution_as_the_transposed_matrix(tmp_path: Path) -> None:
    """(a, b) -> (a x, a y, a z + b x, b y, b z, 0) at stride 2 without padding and one zero behind."""
    graph = net(tmp_path, "[1, 1, 2]", "deconv(1, 1x3, stride=(1, 2), output_pad=(0, 1), bias=no)")
    found = run(graph, [[7, 11]], **{"deconv1.weight": FILTER})
    np.testing.assert_array_equal(found, [[14, 21, 35 + 22, 33, 55, 0]])


def test_strides_of_overfeat() -> None:
    for name, layer, stride in (("overfeat_fast", "pool5", 32), ("overfeat_accurate", "pool6", 36)):
        graph = zoo(name)
        assert receptive_fields(graph).fields[graph.node(layer).output].height.jump == stride
