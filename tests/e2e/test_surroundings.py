"""Odd surroundings: streams that are closed or full, folders that cannot be written, damaged caches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netdsl.train.checkpoint import load_checkpoint
from tests.e2e.support import COMMANDS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses a POSIX shell")

UNWRITABLE = "/proc" if os.path.isdir("/proc/self") else "/dev"
"""Not even root can write here."""


def shell(words: list[str], redirection: str = "", cwd: Path | str | None = None, **env: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``python -m netdsl WORDS REDIRECTION``."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m netdsl "$@" {redirection}', sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("verb", ["check", "report", "compile", "predict", "zoo", "doctor"])
def test_stdout_closed_or_full(verb: str, trained: Path, picture: Path, tmp_path: Path) -> None:
    words = COMMANDS[verb](trained, picture)
    assert shell(words, ">&-", tmp_path) == (0, "", "")
    if os.path.exists("/dev/full"):
        code, _, err = shell(words, ">/dev/full", tmp_path)
        assert code == 1 and "error[N0006]" in err
    assert os.listdir(tmp_path) == []


def test_training_with_every_stream_closed(tmp_path: Path) -> None:
    """The files that training opens must not become the streams it prints to."""
    words = ["train", "zoo:lenet5", "--data", "digits", "--epochs", "1", "--out", "run"]
    assert shell(words, ">&- 2>&- <&-", tmp_path)[0] == 0
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").progress.epoch == 1
    assert all(line.startswith("{") for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())


def test_errors_with_stderr_closed(tmp_path: Path) -> None:
    assert shell(["report", "zoo:nope"], "2>&-", tmp_path) == (1, "", "")


@pytest.mark.parametrize(
    "words",
    [
        ["train", "zoo:lenet5", "--data", "digits"],
        ["demo"],
        ["compile", "zoo:lenet5", "--emit", "obj", "-o", "lenet5.o"],
        ["train", "zoo:lenet5", "--data", "digits", "--out", "x/y"],
    ],
)
def test_a_folder_that_cannot_be_written(words: list[str]) -> None:
    code, out, err = shell(words, cwd=UNWRITABLE)
    assert (code, out) == (1, "")
    assert "error[N0006]" in err and "cannot be written" in err
    assert shell(["report", "zoo:lenet5"], cwd=UNWRITABLE)[0] == 0


@pytest.mark.parametrize("place", [f"{UNWRITABLE}/cache", "/dev/null", "a-file", "new/folder", ""])
def test_any_cache_directory(place: str, trained: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")
    words = COMMANDS["predict"](trained, picture)
    expected = shell(words, cwd=tmp_path)
    assert expected[0] == 0
    assert shell(words, cwd=tmp_path, NETDSL_CACHE_DIR=place) == expected
    assert (tmp_path / "a-file").read_text() == ""


def test_a_damaged_cache(trained: Path, picture: Path, tmp_path: Path) -> None:
    words, cache = COMMANDS["predict"](trained, picture), str(tmp_path / "cache")
    expected = shell(words, NETDSL_CACHE_DIR=cache)
    for damage in (lambda content: content[:1000], lambda content: content[:3000] + b"Z" * 8 + content[3008:], bytes):
        objects = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert objects
        for path in objects:
            path.write_bytes(damage(path.read_bytes()))
        assert shell(words, NETDSL_CACHE_DIR=cache) == expected
    for path in objects:
        path.unlink()
        path.mkdir()
    assert shell(words, NETDSL_CACHE_DIR=cache) == expected


def test_terminals_and_encodings_of_any_kind(tmp_path: Path) -> None:
    for environment in ({"COLUMNS": "1"}, {"COLUMNS": "many"}, {"TERM": ""}, {"PYTHONIOENCODING": "ascii"}):
        assert shell(["report", "zoo:lenet5"], **environment)[0] == 0
    net = tmp_path / "net.net"
    net.write_text("net N { input größe: [1]\noutput y = größe -> relu(3) }", encoding="utf-8")
    code, _, err = shell(["check", str(net)], PYTHONIOENCODING="ascii")
    assert code == 1 and "error[" in err
