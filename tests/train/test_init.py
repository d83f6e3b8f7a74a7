"""Training from the weights of another network: `--init`, `--reset`, `--freeze`, `--lr`, and averaged weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import run
from netdsl.weights import read_tensors

NET = """
net Small(classes: int = 10) {
    input image: [1, 32, 32]
    f = image -> avgpool(4) -> (conv(4, 3x3, bias = no) -> bn -> relu) as stem -> flatten -> fc(16) as hidden -> tanh
    logits = f -> fc(classes) as head
    output probs = softmax(logits)
}
train Small {
    target label: class
    loss cross_entropy(logits, label, smooth = 0.1)
    adam(lr = 0.003)
    ema 0.9
    batch 64
    epochs 1
    metric top1(logits, label)
}
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nets") / "small.net"
    path.write_text(NET)
    return path


@pytest.fixture(scope="module")
def source(net: Path) -> Path:
    """A run directory after one epoch."""
    path = net.parent / "source"
    assert run(["train", str(net), "--data", "digits", "--out", str(path)]) == 0
    return path


def tensors(path: Path) -> dict[str, np.ndarray]:
    return read_tensors(path / "last.safetensors").tensors


def test_a_frozen_body_under_a_new_head(
    net: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", str(net), "--data", "digits", "--out", str(tmp_path / "run"), "--init", str(source)]
    assert run([*train, "--reset", "head.*", "--freeze", "stem.*", "--lr", "hidden.*=0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "best.safetensors: 7 taken, 2 reset" in err and "  reset       head.weight\n" in err
    entries = json.loads(out)["init"]["tensors"]
    assert [entry["outcome"] for entry in entries if entry["parameter"] == "head.bias"] == ["reset"]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["init"]["tensors"] == entries
    before, after = read_tensors(source / "best.safetensors").tensors, tensors(tmp_path / "run")
    same = {name for name in before if name in after and (before[name] == after[name]).all()}
    assert {name for name in same if "/" not in name} == {
        "stem.0.weight", "stem.1.weight", "stem.1.bias", "stem.1.running_mean", "stem.1.running_var",
        "hidden.weight", "hidden.bias",
    }  # fmt: skip
    assert not any(name.startswith("optimizer/stem") for name in after)


def test_another_number_of_classes(net: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", str(net), "--data", "digits", "--out", str(tmp_path / "run")]
    other = tmp_path / "other.net"
    other.write_text(NET.replace("fc(16)", "fc(12)"))
    arguments = ["train", str(other), *train[2:], "--init", str(source)]
    assert run(arguments) == 1
    err = capsys.readouterr().err
    assert "N0704" in err and "`hidden.weight`: [16, 144] in the file, [12, 144] in the network" in err
    assert not (tmp_path / "run").exists()
    assert run([*arguments, "--partial"]) == 0
    err = capsys.readouterr().err
    assert "mismatched  head.weight  ([10, 16] in the file, [10, 12] in the network)" in err
    assert run([*train[:-1], str(tmp_path / "order"), "--init", str(source), "--match", "order"]) == 0


def test_samples_are_learnt_by_heart_from_the_weights_that_are_named(
    net: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["train", str(net), "--data", "digits", "--overfit", "16", "--json"]
    first: dict[tuple[str, ...], float] = {}
    starts: tuple[tuple[str, ...], ...] = (
        (), ("--init", str(source)), ("--weights", str(source)), ("--init", str(source), "--reset", "*"),
    )  # fmt: skip
    for start in starts:
        assert run([*check, *start]) == 0
        out, err = capsys.readouterr()
        document = json.loads(out)
        first[start] = document["first"]
        assert document["last"] < document["first"]
        assert ("9 taken" in err) == (start == starts[1]) and (document["init"] is not None) == ("--init" in start)
    fresh, taken, weights, reset = first.values()
    assert taken == weights and taken < 0.9 * fresh and reset == fresh  # an epoch lowers the loss by more than a tenth


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--overfit", "4", "--resume"], 2, "no --resume"),
        (["--reset", "haed.*"], 2, "--init"),
        (["--init", "SOURCE", "--reset", "haed.*"], 1, "did you mean `head.*`?"),
        (["--init", "SOURCE", "--weights", "SOURCE"], 2, "different starts"),
        (["--init", "nowhere.safetensors"], 1, "no weights file"),
        (["--freeze", "sten.*"], 1, "did you mean `stem.*`?"),
        (["--freeze", "*"], 1, "nothing is trained"),
        (["--lr", "head.*"], 2, "PATTERN=FACTOR"),
        (["--lr", "head.*=-1"], 2, "PATTERN=FACTOR"),
        (["--lr", "haed.*=2"], 1, "did you mean `head.*`?"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_what_is_refused(
    net: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    words = [str(source) if word == "SOURCE" else word for word in words]
    assert run(["train", str(net), "--data", "digits", "--out", str(tmp_path / "run"), *words]) == code
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_transfer_resumes_bit_for_bit(net: Path, source: Path, tmp_path: Path) -> None:
    words = ["train", str(net), "--data", "digits", "--freeze", "stem.*", "--lr", "head.*=3"]
    start = ["--init", str(source), "--reset", "head.*"]
    assert run([*words, *start, "--out", str(tmp_path / "whole"), "--epochs", "2"]) == 0
    assert run([*words, *start, "--out", str(tmp_path / "parts"), "--threads", "1"]) == 0
    assert run([*words, "--out", str(tmp_path / "parts"), "--epochs", "2", "--resume"]) == 0
    one, other = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_the_line_that_resumes_says_nothing_of_the_start() -> None:
    from netdsl.cli.starting import resuming

    words = ("train", "a.net", "--init", "w", "--reset=fc*", "--partial", "--freeze", "s.*", "--data", "digits")
    assert resuming(words, Path("runs/a")) == "netdsl train a.net --freeze 's.*' --data digits --resume --out runs/a"


def test_averaged_weights_are_used_where_asked_for(net: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate = ["eval", str(net), "--weights", str(source / "last.safetensors"), "--data", "digits", "--json"]
    results = []
    for words in ([], ["--ema"]):
        assert run([*evaluate, *words]) == 0
        results.append(json.loads(capsys.readouterr().out)["test"])
    last = [json.loads(line) for line in (source / "metrics.jsonl").read_text().splitlines()][-1]["test"]
    for prefix, found in zip(("", "ema."), results, strict=True):
        for name, value in found.items():
            assert last[prefix + name] == pytest.approx(value, rel=1e-5)
    assert results[0] != results[1]
    assert run(["eval", "zoo:lenet5", "--weights", str(source), "--data", "digits"]) == 1
    plain = net.parent / "plain.net"
    plain.write_text(NET.replace("    ema 0.9\n", ""))
    assert run(["train", str(plain), "--data", "digits", "--out", str(net.parent / "plain")]) == 0
    capsys.readouterr()
    assert run(["eval", str(plain), "--weights", str(net.parent / "plain"), "--data", "digits", "--ema"]) == 1
    assert "holds no averaged weights" in capsys.readouterr().err
