"""``netdsl report --cost``: work, bytes and times, against numbers worked out by hand."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from netdsl.analysis.roofline import Roof, Work, layer_work
from netdsl.cli.main import run
from netdsl.driver import Build, Origin, load, optimize
from netdsl.report.columns import escape
from tests.cli.conftest import Netdsl

NET = """\
block Half(width: int) {
    return in -> conv(width, 3x3, pad=1, bias=no) -> bn -> relu
}

net N {
    input x: [4, 8, 8]
    layer shared = conv(4, 3x3, pad=1, bias=no)
    a = x -> Half(4) as first -> shared -> shared
    b = add(a, a)
    output y = b -> slice(0, 2) -> flatten -> dropout(0.5) -> fc(10)
}
"""
MACHINE = {"schema": 1, "name": "a | b", "cores": 4, "peak_flops": 4e9, "bandwidth": 1e9}
MAP = 4 * 8 * 8
KERNEL = 4 * 4 * 9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "n.net").write_text(NET)
    (tmp_path / "m.json").write_text(json.dumps(MACHINE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_bytes_of_each_layer(netdsl: Netdsl) -> None:
    batch = 3
    found = netdsl("report", "n.net", "--cost", "--json", "--batch", batch).json
    cost = {layer["name"]: layer["cost"] for layer in found["layers"]}
    maps = 4 * MAP * batch
    assert (cost["first.conv1"]["bytes_read"], cost["first.conv1"]["bytes_written"]) == (maps + 4 * KERNEL, maps)
    assert cost["first.bn1"]["bytes_read"] == maps + 4 * 4 * 4
    assert cost["shared"]["bytes_read"] == maps + 4 * KERNEL
    assert cost["shared@2"]["bytes_read"] == maps  # its weights are there already
    assert cost["add1"]["bytes_read"] == maps  # one value, read once
    assert (cost["slice1"]["bytes_read"], cost["slice1"]["bytes_written"]) == (maps // 2, maps // 2)
    for name in ("flatten1", "dropout1"):
        assert cost[name]["bytes_read"] == cost[name]["bytes_written"] == 0 and cost[name]["intensity"] is None
    assert cost["fc1"]["bytes_read"] == maps // 2 + 4 * (128 * 10 + 10)
    assert cost["fc1"]["macs"] == 1280 * batch and cost["fc1"]["flops"] == (2560 + 10) * batch
    assert cost["first.relu1"]["intensity"] == 1 / 8
    total = found["cost"]["total"]
    for key in ("macs", "flops", "bytes_read", "bytes_written"):
        assert total[key] == sum(layer[key] for layer in cost.values())
    assert total["flops"] == batch * found["totals"]["flops"] and found["cost"]["batch"] == batch
    [block] = found["cost"]["blocks"]
    assert (block["name"], block["layers"], block["macs"]) == ("first", 3, batch * 64 * KERNEL)
    assert total["seconds"] is None and found["cost"]["machine"] is None


@pytest.mark.usefixtures("folder")
def test_times(netdsl: Netdsl) -> None:
    words = ("report", "n.net", "--cost", "--json", "--machine", "m.json")
    for threads, peak, bandwidth in ((None, 4e9, 1e9), (1, 1e9, 2.5e8), (3, 3e9, 7.5e8), (9, 4e9, 1e9)):
        found = netdsl(*words, *(("--threads", threads) if threads else ())).json
        times = [layer["cost"] for layer in found["layers"]]
        for item in times:
            arithmetic, memory = item["flops"] / peak, (item["bytes_read"] + item["bytes_written"]) / bandwidth
            assert item["seconds"] == pytest.approx(max(arithmetic, memory))
            assert item["bound"] == (
                None if not arithmetic + memory else "compute" if arithmetic >= memory else "memory"
            )
        assert found["cost"]["total"]["seconds"] == pytest.approx(sum(item["seconds"] for item in times))
        assert found["cost"]["threads"] == threads and found["cost"]["machine"]["name"] == "a | b"
    assert {item["bound"] for item in times} == {"compute", "memory", None}


def test_the_ridge() -> None:
    roof = Roof(4e9, 1e9)
    assert roof.ridge == 4
    assert roof.bound(Work(0, 8, 1, 1)) == "compute" and roof.bound(Work(0, 7, 1, 1)) == "memory"
    assert roof.seconds(Work(0, 8, 1, 1)) == 2e-9


def test_what_is_fused_moves_less_and_computes_the_same_or_less() -> None:
    for name in ("resnet18", "googlenet", "densenet121"):
        graph = load(Origin(f"zoo:{name}")).graph
        before = sum(layer_work(graph, 2).values(), Work())
        after = sum(layer_work(optimize(graph, Build())[0], 2).values(), Work())
        assert after.macs == before.macs and after.flops <= before.flops
        assert after.bytes < 0.8 * before.bytes


@pytest.mark.usefixtures("folder")
def test_the_text(netdsl: Netdsl) -> None:
    plain = netdsl("report", "n.net", "--cost").out
    assert plain.startswith("N: x [4, 8, 8] -> y [10], batch 1\n\nlayer ") and "bound" not in plain
    timed = netdsl("report", "n.net", "--cost", "--machine", "m.json", "--threads", 1)
    assert "machine: a | b, 1 core: 1 GFLOP/s, 250 MB/s" in timed.out and "limits below 4 FLOP/B" in timed.out
    assert re.search(r"^first +3 ", timed.out, re.MULTILINE) and re.search(r"^as compiled ", timed.out, re.MULTILINE)
    assert netdsl("report", "n.net", "--cost", "--machine", "m.json", "--threads", 1).out == timed.out


@pytest.mark.usefixtures("folder")
def test_on_a_narrow_terminal(netdsl: Netdsl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    out = netdsl("report", "n.net", "--cost", "--machine", "m.json").out
    table = out.partition("\n\n")[2].partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 60 and "no room for" in out and "time" in table


@pytest.mark.usefixtures("folder")
def test_csv(netdsl: Netdsl) -> None:
    document = netdsl("report", "n.net", "--json", "--cost", "--machine", "m.json", "--batch", 2).json
    rows = list(csv.DictReader(netdsl("report", "n.net", "--csv", "--cost", "--machine", "m.json", "--batch", 2)
                               .out.splitlines()))  # fmt: skip
    for row, layer in zip(rows, document["layers"], strict=True):
        assert row["layer"] == layer["name"] and row["output"] == "x".join(map(str, layer["output_shape"]))
        assert int(row["params"]) == layer["params"] and (row["shared"] == "yes") == layer["shared"]
        assert int(row["flops"]) * 2 == int(row["batch_flops"]) == layer["cost"]["flops"]
        assert int(row["bytes_read"]) == layer["cost"]["bytes_read"] and row["line"] == str(layer["line"])
        assert float(row["seconds"]) == layer["cost"]["seconds"]
        assert (row["field_height"] == "") == (layer["receptive_field"] is None)
    plain = netdsl("report", "n.net", "--csv").out
    assert plain.splitlines()[0].endswith("pad_right,file,line") and len(plain.splitlines()) == len(rows) + 1


@pytest.mark.usefixtures("folder")
def test_markdown(netdsl: Netdsl) -> None:
    for extra in ((), ("--cost",), ("--cost", "--machine", "m.json")):
        lines = netdsl("report", "n.net", "--markdown", *extra).out.splitlines()
        assert lines[0].startswith("| layer | op | output | params | MACs | FLOPs |")
        assert lines[1].startswith("| --- | --- | --- | ---: |") and lines[-1].startswith("| total |")
        assert len({line.count("|") for line in lines}) == 1
        assert len(lines) == 3 + len(netdsl("report", "n.net", "--json").json["layers"])
    assert escape("a|b_c\\d\n<e> _f_") == r"a\|b_c\\d \<e\> \_f\_"


@pytest.mark.parametrize("options", [
    ("--csv", "--markdown"), ("--csv", "--json"), ("--json", "--markdown"), ("--machine", "m.json"),
    ("--cost", "--fits", "1GiB"), ("--csv", "--html", "x.html"), ("--markdown", "--receptive-field", "shared"),
])  # fmt: skip
@pytest.mark.usefixtures("folder")
def test_wrong_use(netdsl: Netdsl, options: tuple[str, ...]) -> None:
    ended = netdsl("report", "n.net", *options)
    assert ended.code == 2 and "Error: " in ended.err and not Path("x.html").exists()


def test_wrong_machines(netdsl: Netdsl, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def report(machine: str) -> Any:
        return netdsl("report", "n.net", "--cost", "--machine", machine)

    (folder / "bad.json").write_text('{"schema": 1,\n "cores": "many"}')
    (folder / "bytes.json").write_bytes(b"\xff\xfe")
    assert report("bad.json").code == 1 and "bad.json:2:11" in report("bad.json").err
    for name in ("missing.json", "bytes.json", ".", "/dev/zero", "n.net"):
        ended = report(name)
        assert ended.code == 1 and "error[N0" in ended.err
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(folder / "cache"))
    assert "netdsl doctor --measure" in report("measured").err
    ended = netdsl("doctor", "--measure", "--json")
    assert ended.code == 0 and ended.json["machine"]["file"] == str(folder / "cache" / "machine.json")
    assert ended.json["machine"]["peak_flops"] > 1e8
    assert report("measured").code == 0 and "machine: " in report("measured").out


def test_a_measurement_that_cannot_be_kept(
    netdsl: Netdsl,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(folder / "n.net"))
    ended = netdsl("doctor", "--measure")
    assert ended.code == 1 and "the measurement is not kept" in ended.err and "peak_flops" in ended.out


def test_default_report_is_untouched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--json", str(folder / "n.net")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "cost" not in found and all("cost" not in layer for layer in found["layers"])
