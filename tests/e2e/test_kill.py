"""``kill -9`` of a training at any moment: what it saved is whole, and going on from there ends with the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import run
from netdsl.train.checkpoint import load_checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals to processes")

EPOCHS, STEPS, KILLS = 8, 45, 5
TRAIN = ["train", "zoo:lenet5", "--data", "digits", "--epochs", str(EPOCHS), "--out"]


def test_killed_again_and_again(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "killed"
    assert run([*TRAIN, str(whole)]) == 0
    random, resumed = np.random.default_rng(0), []
    for kill in range(KILLS):
        last = path / "last.safetensors"
        options = ["--checkpoint-every", "0.02", "--threads", str(1 + kill % 2)]
        child = subprocess.Popen(
            [sys.executable, "-m", "netdsl", *TRAIN, str(path), *options, *(["--resume"] if kill else [])],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        assert child.stderr.readline().startswith("epoch ")  # of a terminal that is none: an epoch has ended
        time.sleep(0.1 + 0.2 * random.random())
        child.send_signal(signal.SIGKILL)
        child.communicate()
        resumed.append(load_checkpoint(last).progress.step)
        for name in ("config.json", "best.safetensors"):
            assert (path / name).stat().st_size > 0
        if resumed[-1] == EPOCHS * STEPS:
            break
    assert resumed == sorted(resumed) and resumed[0] >= STEPS
    assert any(step % STEPS for step in resumed), "no kill was in the middle of an epoch"
    assert run([*TRAIN, str(path), "--resume"]) == 0
    for name in ("last.safetensors", "best.safetensors"):
        ours, theirs = load_checkpoint(path / name), load_checkpoint(whole / name)
        assert ours.progress == theirs.progress
        for mine, other in ((ours.parameters, theirs.parameters), (ours.state, theirs.state)):
            assert list(mine) == list(other)
            for key in mine:
                np.testing.assert_array_equal(mine[key], other[key], err_msg=key)
    steps = [line for line in (path / "metrics.jsonl").read_text().splitlines() if '"step"' in line]
    assert len(steps) == len((whole / "metrics.jsonl").read_text().splitlines())
