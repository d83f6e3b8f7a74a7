"""Checkpoints in the middle of epochs, those that are kept, and disks without room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_loop import assert_same_training, made, train
from training_nets import REFERENCE, acting_at, colour_data, colour_recipe

from netdsl.cli.main import run
from netdsl.train.checkpoint import load_checkpoint
from netdsl.train.loop import Compiler, Loop
from netdsl.train.saving import Saving
from netdsl.train.schedule import Cosine
from netdsl.updates import UpdateRule
from netdsl.weights import read_tensors

TRAIN = ["train", "zoo:lenet5", "--data", "digits", "--epochs", "2"]


class Killed(BaseException):
    """Ends a training as a kill does: nothing is saved on the way out."""


def killed_at(step: int) -> Compiler:
    def end() -> None:
        raise Killed

    return acting_at(step, end)


def test_what_was_saved_in_the_middle_of_an_epoch_goes_on_bit_for_bit(tmp_path: Path) -> None:
    rule = UpdateRule(accumulate=4, average=0.9)
    recipe = colour_recipe(epochs=3, schedule=Cosine(warmup=0.5), rule=rule)
    train(tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        Loop(recipe, colour_data(), killed_at(10), made(tmp_path / "killed"), seed=3, saving=Saving(every=1e-9)).fit()
    progress = load_checkpoint(tmp_path / "killed" / "last.safetensors").progress
    assert (progress.step, progress.epoch, progress.epoch_step) == (9, 1, 3)
    train(tmp_path / "killed", recipe, resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "killed")


def test_only_what_is_due_is_saved(tmp_path: Path) -> None:
    recipe, data, saving = colour_recipe(), colour_data(), Saving(every=3600)
    with pytest.raises(Killed):
        Loop(recipe, data, killed_at(3), made(tmp_path / "run"), seed=3, saving=saving).fit()
    assert os.listdir(tmp_path / "run") == ["metrics.jsonl"]
    for every, keep in ((0.0, 0), (float("inf"), 0), (1.0, -1)):
        with pytest.raises(ValueError):
            Saving(every, keep)


def test_the_latest_epochs_are_kept(tmp_path: Path) -> None:
    recipe = colour_recipe(epochs=4)
    Loop(recipe, colour_data(), REFERENCE, made(tmp_path / "run"), seed=3, saving=Saving(keep=2)).fit()
    kept = sorted(path.name for path in (tmp_path / "run").glob("epoch-*"))
    assert kept == ["epoch-0003.safetensors", "epoch-0004.safetensors"]
    last = (tmp_path / "run" / "last.safetensors").read_bytes()
    assert (tmp_path / "run" / "epoch-0004.safetensors").read_bytes() == last
    assert load_checkpoint(tmp_path / "run" / "epoch-0003.safetensors").progress.epoch == 3


LIMITED = """
import resource, sys
from netdsl.cli.main import run
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of a process's files")
def test_no_room_for_a_checkpoint_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that may not grow fails as on a full disk; later, elsewhere and with other threads, all is the same."""
    whole, path = tmp_path / "whole", tmp_path / "run"
    assert run([*TRAIN, "--out", str(whole), "--threads", "2"]) == 0
    assert run([*TRAIN[:-1], "1", "--out", str(path)]) == 0
    earlier = (path / "last.safetensors").read_bytes()
    assert len(earlier) > 200_000
    more = [*TRAIN, "--out", str(path), "--resume", "--checkpoint-every", "0.01", "--threads", "1"]
    ended = subprocess.run([sys.executable, "-c", LIMITED, *more], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "N0006" in ended.stderr and "last.safetensors` cannot be written" in ended.stderr
    assert "the file that was there before is as it was" in ended.stderr and "Traceback" not in ended.stderr
    assert (path / "last.safetensors").read_bytes() == earlier
    assert not list(path.glob(".*.part"))
    assert run(more) == 0
    ours, theirs = (read_tensors(folder / "last.safetensors").tensors for folder in (path, whole))
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
