"""The verbs that train and use trained nets, on real digits and the real backend."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import run
from netdsl.data import open_data
from netdsl.data.picture import write_picture
from netdsl.data.resize import resize
from netdsl.weights import read_tensors, write_tensors

NETDSL = [sys.executable, "-c", "from netdsl.cli.main import main; main()"]
TRAIN = ["train", "zoo:lenet5", "--data", "digits"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory after three epochs (of a schedule of three)."""
    path = tmp_path_factory.mktemp("runs") / "lenet5"
    assert run([*TRAIN, "--epochs", "3", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def digit_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The first test sample of every digit, in different sizes."""
    folder, test = tmp_path_factory.mktemp("digits"), open_data("digits").test
    paths = []
    for digit in range(10):
        image = test.image(test.targets.tolist().index(digit))
        paths.append(folder / f"{digit}.png")
        write_picture(paths[-1], resize(image, 40 + 11 * digit, 40 + 11 * digit))
    return paths


def weights_of(path: Path) -> dict[str, np.ndarray]:
    return read_tensors(path / "last.safetensors").tensors


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = weights_of(one), weights_of(other)
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_training_leaves_its_files_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*TRAIN, "--epochs", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["schema"] == 1 and document["steps"] == 45 and document["run"] == "runs/lenet5"
    assert document["test"]["top1"] > 0.7
    assert err.startswith("epoch 1/1  loss ") and len(err.splitlines()) == 1
    config = json.loads(Path("runs/lenet5/config.json").read_text())
    assert (config["seed"], config["batch"], config["arguments"]) == (0, 32, {"classes": 10})
    assert sorted(os.listdir("runs/lenet5")) == [
        "best.safetensors", "config.json", "confusion.png", "curves.png", "curves.svg", "last.safetensors",
        "metrics.jsonl", "mistakes.png",
    ]  # fmt: skip


def test_threads_do_not_change_a_bit(trained: Path, tmp_path: Path) -> None:
    assert run([*TRAIN, "--epochs", "3", "--threads", "1", "--out", str(tmp_path / "one")]) == 0
    assert_same_weights(trained, tmp_path / "one")


def test_ctrl_c_in_the_middle_of_an_epoch_and_resume(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    child = subprocess.Popen(
        [*NETDSL, *TRAIN, "--epochs", "3", "--out", str(path)], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stderr is not None and child.stderr.readline().startswith("epoch 1/3")
    deadline = time.monotonic() + 60
    while '"step": 50' not in (path / "metrics.jsonl").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    error = child.stderr.read()
    assert child.wait() == 130
    child.stderr.close()
    assert "stopped after step" in error and "--resume" in error
    assert run([*TRAIN, "--epochs", "3", "--out", str(path), "--resume"]) == 0
    assert_same_weights(trained, path)


def test_eval(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["eval", "zoo:lenet5", "--weights", str(trained / "last.safetensors"), "--data", "digits"]
    results = []
    for batch in ("7", "64"):
        assert run([*arguments, "--json", "--batch", batch]) == 0
        results.append(json.loads(capsys.readouterr().out))
    first, second = results
    assert first["samples"] == 360 and sum(map(sum, first["confusion"])) == 360
    right = sum(first["confusion"][digit][digit] for digit in range(10))
    assert first["test"]["top1"] == second["test"]["top1"] == right / 360
    assert first["test"]["loss"] == pytest.approx(second["test"]["loss"], rel=1e-5)
    last = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()][-1]
    assert last["test"]["top1"] == right / 360
    assert run([*arguments, "--confusion"]) == 0
    assert "rows: true class" in capsys.readouterr().out


def test_predict_reads_pictures(trained: Path, digit_files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["predict", "zoo:lenet5", "--weights", str(trained), *map(str, digit_files)]
    assert run([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    best = [result["predictions"][0] for result in document["results"]]
    assert sum(item["class"] == str(digit) for digit, item in enumerate(best)) >= 8
    assert all(0 < item["probability"] <= 1 for item in best)
    assert run([*arguments, "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and lines[3].startswith(str(digit_files[3]))


def test_predict_sees_the_same_in_colour_inverted_and_on_a_sheet(
    trained: Path, digit_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image, ImageOps

    grey = Image.open(digit_files[6])
    grey.convert("RGBA").save(tmp_path / "colour.png")
    ImageOps.invert(grey).save(tmp_path / "ink.png")

    def best(path: Path, *options: str) -> float:
        arguments = ["predict", "zoo:lenet5", "--weights", str(trained), str(path), "--json", *options]
        assert run(arguments) == 0
        return json.loads(capsys.readouterr().out)["results"][0]["predictions"][0]

    sheet = Image.new("RGB", (300, 220), "white")
    sheet.paste(ImageOps.invert(grey), (170, 40))
    sheet.save(tmp_path / "sheet.jpg")
    expected = best(digit_files[6])
    assert best(tmp_path / "sheet.jpg", "--invert", "--trim")["class"] == expected["class"] == "6"
    for found in (best(tmp_path / "colour.png"), best(tmp_path / "ink.png", "--invert")):
        assert found["class"] == expected["class"]
        assert found["probability"] == pytest.approx(expected["probability"], rel=1e-4)


def test_predict_names_every_file_it_cannot_read(
    trained: Path, digit_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    bad = [str(tmp_path / "text.png"), str(tmp_path / "none.png")]
    arguments = ["predict", "zoo:lenet5", "--weights", str(trained), bad[0], str(digit_files[0]), bad[1]]
    assert run(arguments) == 1
    out, err = capsys.readouterr()
    assert str(digit_files[0]) in out and all(name in err for name in bad) and "Traceback" not in err
    assert run([*arguments, "--json"]) == 1
    codes = [item["code"] for item in json.loads(capsys.readouterr().out)["diagnostics"]]
    assert codes == ["N0602", "N0601"]


def failing(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_wrong_weights(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.safetensors"
    arguments = ["eval", "zoo:lenet5", "--data", "digits", "--weights"]
    assert "no weights file" in failing([*arguments, str(path)], capsys)
    path.write_bytes((trained / "last.safetensors").read_bytes()[:-9])
    assert "not a whole safetensors file" in failing([*arguments, str(path)], capsys)
    tensors = weights_of(trained)
    write_tensors(path, {**tensors, "fc1.weight": np.zeros((3, 3), np.float32)}, {})
    assert "`fc1.weight` is [3, 3], the network needs [120, 400]" in failing([*arguments, str(path)], capsys)
    del tensors["fc3.bias"]
    write_tensors(path, tensors, {})
    assert "`fc3.bias` is missing" in failing([*arguments, str(path)], capsys)
    more = ["eval", "zoo:lenet5", "--data", "digits", "--set", "classes=11", "--weights", str(trained)]
    assert "the network needs [11, 84]" in failing(more, capsys)


def test_wrong_training(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "new")]
    for arguments, text in (
        ([*TRAIN, "--out", str(trained)], "already holds a training"),
        ([*TRAIN, *out, "--resume"], "to resume from"),
        ([*TRAIN, "--out", str(trained), "--resume", "--seed", "5"], "seed: 0 there, 5 now"),
        ([*TRAIN, *out, "--set", "classes=7"], "scores 7 classes; digits has 10"),
        (["train", "zoo:lenet5", "--data", "digist", *out], "did you mean `digits`?"),
        (["train", "zoo:lenet5", "--data", f"idx:{tmp_path}", *out], "train-images-idx3-ubyte"),
        (["train", "zoo:vgg_a", "--data", "digits", *out], "does not say how to train"),
    ):
        assert text in failing(arguments, capsys)
    assert not (tmp_path / "new").exists()
    assert "Give one of them" in failing([*TRAIN, "--resume", "--weights", "x"], capsys, 2)


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in failing([*TRAIN, "--out", str(tmp_path / "file" / "run")], capsys)
    assert "cannot be written" in failing(["demo", "--out", str(tmp_path / "file" / "demo")], capsys)


def test_a_learning_rate_that_diverges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from netdsl.resolve import resolve

    text = resolve("zoo:lenet5").path.read_text()
    net = tmp_path / "wild.net"
    net.write_text(text.replace("lr = 0.05", "lr = 1e20").replace("warmup = 1", "warmup = 0"))
    error = failing(["train", str(net), "--data", "digits", "--out", str(tmp_path / "run")], capsys, 5)
    assert "at step" in error and "N0706" in error


def test_pictures_in_a_folder_a_class(
    digit_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for digit in (0, 1):
        folder = tmp_path / "data" / ("zero", "one")[digit]
        folder.mkdir(parents=True)
        for number in range(5):
            shutil.copy(digit_files[digit], folder / f"{number}.png")
    (tmp_path / "data" / "one" / "bad.png").write_text("")
    arguments = ["train", "zoo:lenet5", "--set", "classes=2", "--data", f"folder:{tmp_path / 'data'}"]
    arguments += ["--epochs", "8", "--batch", "4", "--out", str(tmp_path / "run")]
    assert "bad.png" in failing([*arguments, "--strict-data"], capsys)
    assert run(arguments) == 0
    assert "1 of 11 files" in capsys.readouterr().err
    predict = ["predict", "zoo:lenet5", "--set", "classes=2", "--weights", str(tmp_path / "run"), "--json"]
    assert run([*predict, str(digit_files[0]), str(digit_files[1])]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["predictions"][0]["class"] for result in results] == ["zero", "one"]


def test_the_demo_stops_at_ctrl_c_and_says_how_to_go_on(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*NETDSL, "demo", "--threads", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stderr is not None and child.stderr.readline().startswith("epoch  1/30")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate()
    assert child.returncode == 130
    assert "The network: netdsl report zoo:lenet5" in out
    assert "--resume --out netdsl-demo" in err and (tmp_path / "netdsl-demo" / "last.safetensors").is_file()


def test_the_demo_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netdsl.train.from_spec import recipe_of

    monkeypatch.setattr("netdsl.trainer.recipe_of", lambda model, batch, epochs: recipe_of(model, epochs=3))
    monkeypatch.chdir(tmp_path)
    assert run(["demo"]) == 0
    out, err = capsys.readouterr()
    assert "top1 9" in out and "Read from 10 picture files" in out and len(err.splitlines()) == 3
    assert len(list((tmp_path / "netdsl-demo" / "digits").glob("*.png"))) == 10
    for name in ("best.safetensors", "last.safetensors", "curves.png", "metrics.jsonl", "config.json"):
        assert f"netdsl-demo/{name}" in out and (tmp_path / "netdsl-demo" / name).is_file()


def test_kill_in_the_middle_of_training_and_resume(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    child = subprocess.Popen([*NETDSL, *TRAIN, "--epochs", "3", "--out", str(path)], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None and child.stderr.readline().startswith("epoch 1/3")
    time.sleep(0.1)
    child.kill()
    child.wait()
    child.stderr.close()
    assert run([*TRAIN, "--epochs", "3", "--out", str(path), "--resume"]) == 0
    assert_same_weights(trained, path)
