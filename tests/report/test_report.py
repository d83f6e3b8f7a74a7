"""What ``netdsl report`` says, against numbers worked out by hand."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from netdsl.cli.main import run
from netdsl.report.document import pair
from tests.cli.support import LENET

SHARED = """\
net Shared {
    input a, b: [3, 9, 12]
    layer head = conv(4, 3x3, pad=1, bias=no)
    x = a -> head -> bn
    y = b -> head
    output z = add(x, y) -> maxpool(3x1, stride=(2, 3)) -> avgpool(global) -> flatten
}
"""


@pytest.fixture
def document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def make(text: str, *options: str) -> Any:
        path = tmp_path / "net.net"
        path.write_text(text)
        assert run(["report", "--json", *options, str(path)]) == 0
        return json.loads(capsys.readouterr().out)

    return make


def test_the_schema(document: Any) -> None:
    found = document(LENET)
    assert list(found) == ["schema", "net", "inputs", "outputs", "layers", "totals", "memory"]
    assert found["schema"] == 1 and found["net"] == "LeNet5"
    assert found["inputs"] == {"image": [1, 32, 32]} and found["outputs"] == {"probs": [10]}
    layer = {"name", "op", "output_shape", "params", "macs", "flops", "receptive_field", "line"}
    assert all(layer <= set(item) for item in found["layers"])
    assert {"params", "trainable_params", "macs", "flops"} <= set(found["totals"])
    assert {"weights_bytes", "inference_peak_bytes", "training_peak_bytes"} <= set(found["memory"])


def test_lenet(document: Any) -> None:
    """61,706 parameters and 416,520 multiply-accumulates: the well-known numbers of this form of the net."""
    found = document(LENET)
    totals = found["totals"]
    assert (totals["params"], totals["trainable_params"], totals["macs"]) == (61_706, 61_706, 416_520)
    by_name = {layer["name"]: layer for layer in found["layers"]}
    assert by_name["conv1"]["params"] == 6 * 25 + 6
    assert by_name["conv1"]["macs"] == 6 * 25 * 28 * 28
    assert by_name["conv1"]["pads"] == [0, 0, 0, 0]
    assert by_name["avgpool1"]["receptive_field"] == {"size": 6, "jump": 2, "start": 2.5}
    assert by_name["conv2"]["receptive_field"] == {"size": 14, "jump": 2, "start": 6.5}
    assert by_name["fc1"]["receptive_field"] is None
    assert by_name["conv2"]["line"] == 6
    assert found["memory"]["weights_bytes"] == 4 * 61_706


def test_shared_weights_count_once_and_statistics_do_not(document: Any) -> None:
    found = document(SHARED)
    assert found["totals"]["params"] == 4 * 3 * 9 + 2 * 4
    assert found["totals"]["statistics"] == 2 * 4
    assert sum(layer["params"] for layer in found["layers"]) == found["totals"]["params"]
    convolutions = [layer for layer in found["layers"] if layer["op"] == "conv"]
    assert [(layer["params"], layer["shared"]) for layer in convolutions] == [(108, False), (0, True)]
    assert found["memory"]["weights_bytes"] == 4 * (108 + 4 * 4)


def test_axes_that_differ_are_pairs(document: Any) -> None:
    [pool] = [layer for layer in document(SHARED)["layers"] if layer["op"] == "maxpool"]
    assert pool["output_shape"] == [4, 4, 4]
    assert pool["receptive_field"] == {"size": [5, 3], "jump": [2, 3], "start": [1, 0]}


def test_numbers_are_whole_where_they_are() -> None:
    assert pair(Fraction(3), Fraction(3)) == 3
    assert isinstance(pair(Fraction(3), Fraction(3)), int)
    assert pair(Fraction(5, 2), Fraction(5, 2)) == 2.5
    assert pair(Fraction(5, 2), Fraction(3)) == [2.5, 3]


def test_memory_grows_with_the_batch(document: Any) -> None:
    one, eight = document(LENET)["memory"], document(LENET, "--batch", "8")["memory"]
    for peak in ("inference_peak_bytes", "training_peak_bytes"):
        assert one[peak] < eight[peak] < 8 * one[peak] + 1
    assert one["weights_bytes"] == eight["weights_bytes"]
    assert one["inference_peak_bytes"] < one["training_peak_bytes"]


def test_training_without_a_train_block(document: Any) -> None:
    plain = LENET.partition("train")[0]
    assert document(plain)["memory"]["training_loss"] == "cross entropy of `probs`"
    other = document(SHARED)["memory"]
    assert other["training_loss"] == "mean squared error of `z`"
    assert other["training_peak_bytes"] > 0


def test_a_net_without_parameters(document: Any) -> None:
    found = document("net N { input x: [3, 8, 8]\noutput y = x -> maxpool(2) }")
    assert found["totals"]["params"] == 0
    assert found["memory"]["weights_bytes"] == 0


GOLDEN = """\
LeNet5: image [1, 32, 32] -> probs [10]

layer     op       output        params     MACs    FLOPs  field  jump  start     pads
--------  -------  ------------  ------  -------  -------  -----  ----  -----  -------
conv1     conv     [6, 28, 28]      156  117,600  239,904      5     1      2  0,0,0,0
tanh1     tanh     [6, 28, 28]                      4,704      5     1      2
avgpool1  avgpool  [6, 14, 14]                      4,704      6     2    2.5  0,0,0,0
conv2     conv     [16, 10, 10]   2,416  240,000  481,600     14     2    6.5  0,0,0,0
tanh2     tanh     [16, 10, 10]                     1,600     14     2    6.5
avgpool2  avgpool  [16, 5, 5]                       1,600     16     4    7.5  0,0,0,0
flatten1  flatten  [400]
fc1       fc       [120]         48,120   48,000   96,120
tanh3     tanh     [120]                              120
fc2       fc       [84]          10,164   10,080   20,244
tanh4     tanh     [84]                                84
fc3       fc       [10]             850      840    1,690
softmax1  softmax  [10]                                50

parameters       61,706
MACs             416,520 a sample
FLOPs            852,420 a sample
weights          246,824 bytes (241.0 KiB)
"""


def test_plain_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.net"
    path.write_text(LENET)
    assert run(["report", str(path)]) == 0
    first = capsys.readouterr().out
    assert first.startswith(GOLDEN)
    assert "training peak" in first and "as the train block says" in first
    assert run(["report", str(path)]) == 0
    assert capsys.readouterr().out == first


def test_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same facts by rich; every layer name in full."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    path = tmp_path / "net.net"
    path.write_text(LENET)
    assert run(["report", str(path)]) == 0
    out = capsys.readouterr().out
    assert "avgpool2" in out and "61,706" in out and "48,120" in out and "pads" in out
    monkeypatch.setenv("COLUMNS", "60")
    assert run(["report", str(path)]) == 0
    out = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert "no room for FLOPs" in out and "pads;" in out
    assert max(map(len, out.splitlines())) <= 60
