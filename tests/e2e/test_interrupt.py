"""Ctrl-C at any moment, of any verb: exit code 130, one word about it, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import VERBS
from netdsl.train.checkpoint import load_checkpoint
from tests.e2e.support import words

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals to processes")

MOMENTS = 4
KILLED = -signal.SIGINT
"""Of a process whose work is done and in which Python itself is ending; a shell calls it 130 too."""
START = "import sys; from netdsl.__main__ import main; sys.stderr.write('up\\n'); sys.stderr.flush(); main()"
LONGEST = {
    "check": 0.25, "report": 0.3, "zoo": 0.15, "doctor": 0.25, "fmt": 0.15, "explain": 0.1, "data": 0.2, "replay": 0.2,
}  # fmt: skip
"""Seconds after which the quick verbs are through, roughly; a verb that has ended is no failure."""


@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_at_any_moment(verb: str, trained: Path, picture: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(list(VERBS).index(verb))
    (tmp_path / "net.net").write_text("net N { input x: [1, 8, 8]\noutput y = x -> conv(4, 3x3) -> relu }")
    arguments = words(verb, trained, picture)
    codes = []
    for turn in range(MOMENTS):
        out = tmp_path / str(turn)
        child = subprocess.Popen(
            [sys.executable, "-c", START, *arguments, *(["--out", str(out)] if verb in ("train", "demo") else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "NETDSL_CACHE_DIR": ""},
        )
        assert child.stderr is not None and child.stderr.readline() == "up\n"
        time.sleep(turn and random.uniform(0, LONGEST.get(verb, 0.8)))
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
        codes.append(child.returncode)
        if "Exception ignored in" in err:
            continue  # it came while Python called one of its own functions that nothing can fail in, and was lost
        if "Traceback" in err and err.count("File ") == 1 and 'File "<string>", line 1, in <module>' in err:
            continue  # it came before the first instruction of ours
        assert "Traceback" not in err, err
        assert child.returncode in (0, 130, KILLED), err
        assert (child.returncode == 130) == ("interrupted" in err or "stopped after step" in err)
        assert_whole(out)
    assert {130, KILLED} & set(codes)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def assert_whole(run: Path) -> None:
    """What a run directory holds is whole, and none is left behind empty."""
    if not run.exists():
        return
    names = os.listdir(run)
    assert names and not [name for name in names if name.endswith(".part")]
    for name in ("last.safetensors", "best.safetensors"):
        if name in names:
            load_checkpoint(run / name)
