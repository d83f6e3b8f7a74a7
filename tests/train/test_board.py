"""Logs for TensorBoard: what is in the event files, and what happens without the package that writes them."""

from __future__ import annotations

import builtins
import io
import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_loop import interrupted_after, made
from training_nets import REFERENCE, colour_data, colour_recipe

from netdsl.cli.main import run
from netdsl.diagnostics import UserError
from netdsl.train.board import Board
from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.inspection import Looks
from netdsl.train.loop import Compiler, Interrupted, Loop
from netdsl.train.progress import EpochSummary, Silent
from netdsl.train.run_directory import RunDirectory

TRAIN = ["train", "zoo:lenet5", "--data", "digits"]


@pytest.fixture
def event_pb2() -> Any:
    return pytest.importorskip("tensorboardX.proto.event_pb2", reason="the extra `tensorboard` is not installed")


def events(path: Path, event_pb2: Any) -> Iterator[Any]:
    """All events of a TFRecord file: length, checksum, bytes, checksum."""
    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        event = event_pb2.Event()
        event.ParseFromString(data[12 : 12 + size])
        yield event
        data = data[16 + size :]


def logged(folder: Path, event_pb2: Any) -> dict[str, dict[int, Any]]:
    """Values by tag and step, as TensorBoard shows them: later sessions replace steps."""
    found: dict[str, dict[int, Any]] = {}
    for path in sorted((folder / "tensorboard").iterdir(), key=lambda path: int(path.name.rpartition("step")[2])):
        for event in events(path, event_pb2):
            if event.HasField("session_log"):
                found = {tag: {s: v for s, v in steps.items() if s < event.step} for tag, steps in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value
    return found


def trained(path: Path, compiler: Compiler = REFERENCE, resume: bool = False, looks: Looks | None = None) -> None:
    found = RunDirectory.open(path) if resume else made(path)
    checkpoint = load_checkpoint(found.last) if resume else None
    board = Board(Silent(), found)
    recipe = colour_recipe(epochs=3)
    Loop(recipe, colour_data(), compiler, found, seed=3, reporter=board, checkpoint=checkpoint, looks=looks).fit()


def test_the_numbers_are_those_of_the_records(tmp_path: Path, event_pb2: Any) -> None:
    trained(tmp_path / "run", looks=Looks(steps=(2, 9)))
    found, run_directory = logged(tmp_path / "run", event_pb2), RunDirectory(tmp_path / "run")
    records = run_directory.records()
    steps = {r["step"]: np.float32(r["loss"]) for r in records if r["kind"] == "step"}
    assert {step: np.float32(value.simple_value) for step, value in found["loss/step"].items()} == steps
    assert len(steps) == 18 and len(found["learning_rate"]) == 18
    for record in (r for r in records if r["kind"] == "epoch"):
        for name, value in record["test"].items():
            assert found[f"test/{name}"][record["step"]].simple_value == np.float32(value)
        assert found["loss/epoch"][record["step"]].simple_value == np.float32(record["loss"])
    picture = found["confusion"][18].image.encoded_image_string
    assert picture == run_directory.confusion.read_bytes() and Image.open(io.BytesIO(picture)).size[0] > 0
    for record in run_directory.inspected():
        scale = next(layer for layer in record["layers"] if layer["layer"] == "logits")
        [weight], activation = scale["parameters"], scale["activation"]
        norm = found["gradient_norm/scale.weight"][record["step"]].simple_value
        assert norm == np.float32(weight["gradient"]["norm"])
        histogram = found["activations/logits"][record["step"]].histo
        assert histogram.num == activation["count"]
        assert histogram.sum == pytest.approx(activation["mean"] * activation["count"])
        assert list(histogram.bucket_limit) == sorted(histogram.bucket_limit)
        # Zeros (dropout makes some) are in the bin that they belong to: all numbers are counted.
        assert sum(histogram.bucket) == pytest.approx(activation["count"]) and activation["zeros"] > 0


def test_steps_taken_again_replace_what_was_logged(tmp_path: Path, event_pb2: Any) -> None:
    trained(tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", interrupted_after(8))
    trained(tmp_path / "cut", resume=True)
    whole, cut = (logged(tmp_path / name, event_pb2) for name in ("whole", "cut"))
    assert len(list((tmp_path / "cut" / "tensorboard").iterdir())) == 2

    def numbers(found: dict[str, dict[int, Any]], tag: str) -> dict[int, float]:
        return {step: value.simple_value for step, value in found[tag].items()}

    for tag in ("loss/step", "loss/epoch", "test/loss", "learning_rate"):
        assert numbers(whole, tag) == numbers(cut, tag), tag


def test_a_disk_that_is_full_is_an_error(tmp_path: Path, event_pb2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboardX.event_file_writer import EventsWriter

    def full(self: object, event: object) -> None:
        raise OSError(28, "No space left on device")

    board = Board(Silent(), made(tmp_path / "run"))
    board.begin_epoch(1, 1, 4, 0)
    monkeypatch.setattr(EventsWriter, "write_event", full)
    with pytest.raises(UserError, match="cannot be written: No space left"):
        board.end_epoch(EpochSummary(1, 1, 0.5, {"loss": 0.4}, (), 1.0, True))


def test_the_verb(tmp_path: Path, event_pb2: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*TRAIN, "--epochs", "1", "--out", str(tmp_path / "run"), "--tensorboard", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = logged(tmp_path / "run", event_pb2)
    assert found["test/top1"][45].simple_value == np.float32(result["test"]["top1"])
    assert run([*TRAIN, "--tensorboard", "--dry-run", "2"]) == 2
    assert "--tensorboard writes to the run directory" in capsys.readouterr().err


def test_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def absent(name: str, *args: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "tensorboardX":
            raise ModuleNotFoundError("No module named 'tensorboardX'", name="tensorboardX")
        return real(name, *args, **named)

    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", absent)
    assert run([*TRAIN, "--out", str(tmp_path / "run"), "--tensorboard"]) == 1
    told = capsys.readouterr().err
    assert "need tensorboardX" in told and "netdsl[tensorboard]" in told and not (tmp_path / "run").exists()
