"""``netdsl bench``: times of layers, in every form they are printed."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Netdsl
from tests.cli.support import process

LAYER = {
    "name": str, "op": str, "line": int | None, "output": list, "milliseconds": float, "share": float, "macs": int,
    "flops": int, "bytes_read": int, "bytes_written": int, "flops_per_second": float, "bytes_per_second": float,
    "bound": str | None, "least_milliseconds": float, "roofline": float,
}  # fmt: skip
WHOLE = {
    "schema": int, "net": str, "target": str, "batch": int, "threads": int, "rounds": int, "machine": dict,
    "milliseconds": dict, "least_milliseconds": float, "roofline": float, "layers": list,
}  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Of one operation a byte; its name is a try to get into the page."""
    path = tmp_path / "machine.json"
    facts = {"schema": 1, "name": "<b>chip</b>", "cores": 2, "peak_flops": 1e12, "bandwidth": 1e12}
    path.write_text(json.dumps(facts))
    return path


def measure(netdsl: Netdsl, file: Path, machine: Path, *options: object) -> Any:
    return netdsl("bench", file, "--machine", machine, "--rounds", 2, "--threads", 1, *options)


def assert_fields(found: dict[str, Any], fields: dict[str, Any]) -> None:
    assert found.keys() == fields.keys()
    for name, kind in fields.items():
        assert isinstance(found[name], kind), name


def test_json(netdsl: Netdsl, small: Path, machine: Path) -> None:
    found = measure(netdsl, small, machine, "--batch", 5, "--json").json
    assert_fields(found, WHOLE)
    for layer in found["layers"]:
        assert_fields(layer, LAYER)
    assert found["net"] == "Small" and found["batch"] == 5 and found["threads"] == 1
    assert found["machine"]["peak_flops"] == 1e12
    times = found["milliseconds"]
    assert 0 < times["low"] <= times["median"] <= times["high"]
    assert sum(layer["share"] for layer in found["layers"]) == pytest.approx(1)
    layers = {layer["op"]: layer for layer in found["layers"]}
    first, last = (layer for layer in found["layers"] if layer["op"] == "fc")
    assert first["flops"] == 5 * (2 * 4 * 8 + 8 + 8)  # products and sums, biases, and the relu fused into it
    assert last["bytes_read"] == 4 * (5 * 8 + 3 * 8 + 3) and last["bytes_written"] == 4 * 5 * 3
    assert last["line"] == 3 and last["output"] == [3]
    assert layers["load_input"]["flops"] == 0


def test_training(netdsl: Netdsl, lenet: Path, machine: Path) -> None:
    layers = measure(netdsl, lenet, machine, "--training", "--json").json["layers"]
    assert {"sgd", "conv_grad_weight"} <= {layer["op"] for layer in layers}


def test_text_without_a_terminal(lenet: Path, machine: Path) -> None:
    ended = process("bench", str(lenet), "--machine", str(machine), "--rounds", "2", "--batch", "2", "--threads", "1")
    assert ended.code == 0 and ended.err == "" and "\x1b" not in ended.out
    assert ended.out.startswith("LeNet5, batch 2, 1 thread, ")
    assert re.search(r"^conv1 +conv +\[6, 28, 28\] +[\d.,]+ [um]s +[\d.]+%", ended.out, re.MULTILINE)
    assert re.search(r"^network +[\d.,]+ [um]s a call \(.* in 2 rounds\)", ended.out, re.MULTILINE)
    assert ended.out.endswith("chip</b>: 500 GFLOP/s, 500 GB/s\n")


def test_page(netdsl: Netdsl, lenet: Path, machine: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert measure(netdsl, lenet, machine, "--profile", page).code == 0
    text = page.read_text()
    assert "&lt;b&gt;chip" in text and "<b>" not in text and "<script" not in text
    assert not re.search(r"""(src|href)=|style="|https?://""", text)
    assert text.count("<tr>") == 1 + len(measure(netdsl, lenet, machine, "--json").json["layers"])
    assert re.search(r"<title>conv1 \(conv\): [\d.,]+ [um]s, [\d.]+ GFLOP/s</title>", text)


def test_trace(netdsl: Netdsl, lenet: Path, machine: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert measure(netdsl, lenet, machine, "--profile", path).code == 0
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert events[0]["ts"] == 0 and "conv1" in {event["name"] for event in events}
    for event, following in pairwise(events):
        assert following["ts"] == pytest.approx(event["ts"] + event["dur"])


def test_wrong_use(netdsl: Netdsl, small: Path, tmp_path: Path) -> None:
    ended = netdsl("bench", small, "--profile", tmp_path / "page.txt")
    assert ended.code == 2 and ".html or .json" in ended.err
    assert netdsl("bench", small, "--rounds", 1).code == 2
    assert netdsl("bench", small, "--batch", 0).code == 2
    assert netdsl("bench").code == 2


def test_wrong_input(netdsl: Netdsl, small: Path, machine: Path, tmp_path: Path) -> None:
    missing = netdsl("bench", tmp_path / "none.net", "--json")
    assert missing.code == 1 and missing.json["diagnostics"]
    assert netdsl("bench", small, "--target", "abacus").code == 1
    assert netdsl("bench", small, "--machine", tmp_path / "none.json").code == 1
    (tmp_path / "poor.json").write_text('{"schema": 1, "cores": 0}')
    assert netdsl("bench", small, "--machine", tmp_path / "poor.json").code == 1
    assert measure(netdsl, small, machine, "--profile", tmp_path / "none" / "page.html").code == 1
