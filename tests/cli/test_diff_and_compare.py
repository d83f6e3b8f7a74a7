"""``netdsl diff`` and ``netdsl compare``."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.cli.conftest import Netdsl
from tests.cli.support import LENET

SVG = "{http://www.w3.org/2000/svg}"


def test_diff(netdsl: Netdsl, tmp_path: Path) -> None:
    a, b = tmp_path / "a.net", tmp_path / "b.net"
    a.write_text(LENET)
    b.write_text(LENET.replace("fc(84)  -> tanh", "fc(100) -> relu"))
    ended = netdsl("diff", a, b)
    assert ended.code == 0
    assert "~ fc2: features 84 -> 100; output_shape [84] -> [100]; params 10,164 -> 12,100" in ended.out
    assert "- tanh4: tanh [84], 0 params" in ended.out and "+ relu1: relu [100], 0 params" in ended.out
    assert "params  61,706 -> 63,802 (+2,096)" in ended.out
    assert netdsl("diff", "--exit-code", a, b).code == 1
    document = netdsl("diff", "--json", a, b).json
    assert document["totals"]["params"] == [61_706, 63_802]
    assert {change["name"] for change in document["changes"]} >= {"fc2", "fc3", "tanh4", "relu1"}


def test_diff_of_the_same(netdsl: Netdsl) -> None:
    ended = netdsl("diff", "--exit-code", "zoo:lenet5", "zoo:lenet5")
    assert ended.code == 0 and "no layer differs" in ended.out


def test_compare(netdsl: Netdsl, tmp_path: Path) -> None:
    names = ["zoo:lenet5", "zoo:cifar_cnn"]
    plot = tmp_path / "nets.svg"
    table = netdsl("compare", *names, "--plot", plot)
    assert table.code == 0 and "61,706" in table.out
    root = ElementTree.parse(plot).getroot()
    assert len(root.findall(f"{SVG}circle")) == 2
    rows = list(csv.DictReader(netdsl("compare", "--csv", *names).out.splitlines()))
    entries = netdsl("compare", "--json", *names).json["networks"]
    for row, item, name in zip(rows, entries, names, strict=True):
        totals = netdsl("report", "--json", name).json["totals"]
        assert int(row["params"]) == item["params"] == totals["params"]
        assert int(row["macs"]) == item["macs"] == totals["macs"]
    assert netdsl("compare", "--markdown", *names).out.startswith("| net | input | params |")
    assert netdsl("compare", *names, "--plot", tmp_path / "nets.gif").code == 2


def test_plots(netdsl: Netdsl, tmp_path: Path) -> None:
    from PIL import Image

    names = ["zoo:lenet5", "zoo:cifar_cnn", "zoo:alexnet"]
    for ending in ("svg", "png"):
        assert netdsl("compare", *names, "--plot", tmp_path / f"nets.{ending}").code == 0
    texts = {text.text for text in ElementTree.parse(tmp_path / "nets.svg").getroot().iter(f"{SVG}text")}
    assert {*names, "MACs a sample", "parameters", "1M"} <= texts
    with Image.open(tmp_path / "nets.png") as opened:
        assert opened.format == "PNG" and opened.size == (1520, 1040)
        colors = {color for _, color in opened.convert("RGB").getcolors(1 << 24) or ()}
    assert (0x2B, 0x6C, 0xB0) in colors


def test_names_of_a_plot_avoid_each_other() -> None:
    from netdsl.report.comparison import Entry
    from netdsl.report.figure.plot import plot
    from netdsl.report.figure.primitives import Text

    entries = [Entry(f"network{i}", "", 1_000_000 + i, 50_000_000 + i, 0, None, None, None) for i in range(4)]
    shapes = [shape for shape in plot(entries).shapes if isinstance(shape, Text) and shape.text.startswith("network")]
    assert len({shape.at for shape in shapes}) == 4
