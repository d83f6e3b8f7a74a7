from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.data import Preparation
from netdsl.diagnostics import Code, UserError
from netdsl.train.checkpoint import Checkpoint, Progress, load_checkpoint
from netdsl.train.run_directory import RunDirectory
from netdsl.weights import read_tensors, write_tensors


def checkpoint(step: int = 7) -> Checkpoint:
    return Checkpoint(
        net="LeNet5",
        parameters={"conv1.weight": np.full((2, 3), step, dtype=np.float32)},
        classes=("cat", "dog"),
        preparation=Preparation(1, 32, 32, mean=(0.1,)),
        state={"velocity/conv1.weight": np.full((2, 3), 0.1, dtype=np.float32)},
        progress=Progress(step=step, epoch=1, epoch_step=2, loss_sum=0.1 + 0.2, best=0.9, best_epoch=1),
        settings={"seed": 3, "batch": 64},
    )


def test_everything_survives_exactly(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    saved = checkpoint()
    saved.save(path)
    loaded = load_checkpoint(path)
    assert (loaded.net, loaded.classes, loaded.preparation) == (saved.net, saved.classes, saved.preparation)
    assert (loaded.progress, loaded.settings) == (saved.progress, saved.settings)
    for ours, theirs in ((saved.parameters, loaded.parameters), (saved.state, loaded.state)):
        assert list(ours) == list(theirs)
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    assert "conv1.weight" in read_tensors(path).tensors


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"a": np.ones(1, dtype=np.float32)}, {})
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(path)
    checkpoint().save(path)
    record = json.loads(read_tensors(path).metadata["netdsl"])
    for change in (
        {"schema": 2},
        {"schema": None},
        {"preparation": {}},
        {"preparation": {**record["preparation"], "fit": "other"}},
        {"progress": {**record["progress"], "step": -1}},
        {"progress": {**record["progress"], "step": "1"}},
        {"progress": 3},
        {"classes": None},
        {"settings": 5},
    ):
        write_tensors(path, {}, {"netdsl": json.dumps({**record, **change})})
        with pytest.raises(UserError, match="cannot be understood") as caught:
            load_checkpoint(path)
        assert caught.value.diagnostics[0].code is Code.CHECKPOINT
    for text in ("", "[]", "{}", "[" * 100_000):
        write_tensors(path, {}, {"netdsl": text})
        with pytest.raises(UserError, match="cannot be understood"):
            load_checkpoint(path)


def test_run_directories(tmp_path: Path) -> None:
    run = RunDirectory.fresh(tmp_path / "runs", "lenet5")
    run.make()
    assert run.path == tmp_path / "runs" / "lenet5"
    second = RunDirectory.fresh(tmp_path / "runs", "lenet5")
    assert second.path.name == "lenet5-2"
    assert RunDirectory.newest(tmp_path / "runs", "lenet5") == run.path
    second.make()
    assert RunDirectory.newest(tmp_path / "runs", "lenet5") == second.path
    with pytest.raises(UserError, match="to resume from"):
        RunDirectory.open(run.path)
    checkpoint().save(run.last)
    with pytest.raises(UserError, match="already holds a training"):
        RunDirectory.new(run.path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        RunDirectory.new(tmp_path / "file" / "run").make()


def test_resuming_cuts_off_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    run = RunDirectory.new(tmp_path / "run")
    run.make()
    for step in (5, 7, 9):
        run.append({"kind": "step", "step": step, "at": step / 10, "loss": 1.5})
    with run.metrics.open("a") as stream:
        stream.write('{"kind": "ste')
    checkpoint(step=7).save(run.last)
    RunDirectory.open(run.path).cut(load_checkpoint(run.last).progress.step)
    assert [record["step"] for record in run.records()] == [5, 7]
    assert len(run.metrics.read_text().splitlines()) == 2


def test_curves_are_a_picture(tmp_path: Path) -> None:
    from PIL import Image

    run = RunDirectory.new(tmp_path / "run")
    run.make()
    run.draw_curves("top1", True)
    for epoch in (1, 2):
        run.append({"kind": "step", "step": epoch, "at": epoch, "loss": 2 / epoch})
        test = {"loss": 1.0, "top1": 0.5}
        run.append({"kind": "epoch", "step": epoch, "epoch": epoch, "loss": 2 / epoch, "test": test})
        run.draw_curves("top1", True)
    assert Image.open(run.curves).size == (1520, 460)
    run.draw_curves(None, False)
    assert Image.open(run.curves).size == (760, 460)


SAVE_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from netdsl.train.checkpoint import Checkpoint, Progress
from netdsl.data import Preparation
print("ready", flush=True)
for step in range(1, 1_000_000):
    Checkpoint("n", {"w": np.full((1 << 19,), step, np.float32)}, ("a",), None,
               {"v": np.full((1 << 18,), step, np.float32)}, Progress(step=step)).save(Path(sys.argv[1]))
"""


def test_kill_during_a_checkpoint_leaves_a_whole_one(tmp_path: Path) -> None:
    """Many kills at random moments of a process that does nothing but write checkpoints."""
    path = tmp_path / "last.safetensors"
    Checkpoint("n", {"w": np.zeros(1, np.float32)}, ("a",), None).save(path)
    random = np.random.default_rng(0)
    partial = steps = 0
    for _ in range(8):
        child = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.05 * random.random())
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        partial += len(list(tmp_path.glob(".*.part")))
        loaded = load_checkpoint(path)
        steps += loaded.progress.step
        assert (loaded.parameters["w"] == loaded.progress.step).all()
        if loaded.state:
            assert (loaded.state["v"] == loaded.progress.step).all()
        RunDirectory.open(tmp_path)
        assert not list(tmp_path.glob(".*.part"))
    assert steps > 0 and partial > 0
