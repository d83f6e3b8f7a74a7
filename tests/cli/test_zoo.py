"""``netdsl zoo``."""

from __future__ import annotations

from netdsl.cli.zoo import _title
from netdsl.resolve import zoo_names
from tests.cli.conftest import Netdsl


def test_list(netdsl: Netdsl) -> None:
    ended = netdsl("zoo", "list")
    assert ended.code == 0
    assert netdsl("zoo").out == ended.out
    rows = [line.split() for line in ended.out.splitlines()]
    assert rows[0] == ["name", "input", "params", "MACs"]
    assert [row[0] for row in rows[1:]] == zoo_names()
    assert ["lenet5", "1x32x32", "61,706", "416,520"] in [row[:4] for row in rows]


def test_list_for_programs(netdsl: Netdsl) -> None:
    [lenet] = [item for item in netdsl("zoo", "list", "--json").json["networks"] if item["name"] == "lenet5"]
    assert (lenet["input"], lenet["params"], lenet["macs"]) == ("1x32x32", 61_706, 416_520)
    assert "LeNet" in lenet["title"]


def test_show(netdsl: Netdsl) -> None:
    ended = netdsl("zoo", "show", "lenet5")
    assert ended.code == 0 and "net LeNet5" in ended.out
    assert netdsl("zoo", "show", "zoo:lenet5").out == ended.out
    wrong = netdsl("zoo", "show", "lenett5")
    assert wrong.code == 1 and "did you mean `zoo:lenet5`?" in wrong.err


def test_titles() -> None:
    assert _title("# A net. By somebody\nnet A {}") == "A net"
    assert _title("net A {}") == ""
