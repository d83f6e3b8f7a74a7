"""Every way a command can end badly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest

from netdsl.cli import check
from netdsl.diagnostics import (
    Code,
    DeviceMissing,
    InternalError,
    NumericFailure,
    ResourceLimit,
    Unsupported,
    UserError,
)
from netdsl.source import Source
from tests.cli.conftest import Netdsl
from tests.cli.support import process


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``netdsl check`` raise."""

    def broken() -> None:
        raise error

    monkeypatch.setattr(check, "command", click.command(broken))


def _interrupted_class() -> BaseException:
    """What Python makes of an interrupt while it makes a class: 3.11 tells another error and gives it as the cause."""

    class Interrupting:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    try:
        type("Made", (), {"field": Interrupting()})
    except BaseException as error:
        return error
    raise AssertionError("a class was made")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError.of(Code.NO_NET, "told"), 1),
        (DeviceMissing.of(Code.DEVICE_MISSING, "told"), 3),
        (ResourceLimit.of(Code.LIMIT_SIZE, "told"), 4),
        (NumericFailure.of(Code.NOT_FINITE, "told"), 5),
        (Unsupported("conv", "cpu", "told", [Source("a.net", "conv").span(0, 4)]), 1),
        (OSError(28, "told", "a.txt"), 1),
        (KeyboardInterrupt(), 130),
        (_interrupted_class(), 130),
        (click.Abort(), 130),
        (MemoryError(), 4),
    ],
)
def test_failures_have_codes(
    netdsl: Netdsl, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    fail_with(monkeypatch, error)
    ended = netdsl("check")
    assert ended.code == code
    assert ended.out == ""
    assert any(word in ended.err for word in ("told", "interrupted", "memory"))
    assert "Traceback" not in ended.err


def test_an_unsupported_op_is_located(netdsl: Netdsl, monkeypatch: pytest.MonkeyPatch) -> None:
    span = Source("a.net", "x -> lrn(5)").span(5, 11)
    fail_with(monkeypatch, Unsupported("lrn", "cpu", "no kernel", [span]))
    err = netdsl("check").err
    assert "error[N0801]: `lrn` cannot run on cpu" in err
    assert "a.net:1:6" in err and "no kernel" in err


@pytest.mark.parametrize("error", [ZeroDivisionError("secret"), InternalError("pass fold_bn"), RecursionError()])
def test_a_bug_leaves_a_dump(
    netdsl: Netdsl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("NETDSL_DEBUG", raising=False)
    fail_with(monkeypatch, error)
    ended = netdsl("check")
    assert ended.code == 70
    assert "Traceback" not in ended.err and "secret" not in ended.err
    [dump] = tmp_path.glob("netdsl-bug-*.txt")
    assert str(dump) in ended.err
    assert "Traceback" in dump.read_text() and "arguments: ['check']" in dump.read_text()
    monkeypatch.setenv("NETDSL_DEBUG", "1")
    assert "Traceback" in netdsl("check").err


def test_a_closed_pipe_is_silent(lenet: Path) -> None:
    """As in ``netdsl report FILE | head -1``."""
    command = [sys.executable, "-u", "-m", "netdsl", "compile", str(lenet), "--emit", "graph"]
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True) as running:
        os.close(writer)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0
    assert err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to processes")
def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    code = (
        "import os, signal, click\n"
        "from netdsl.cli import check, main\n"
        "check.command = click.command(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "raise SystemExit(main.run(['check']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + signal.SIGINT
    assert "interrupted" in done.stderr and "Traceback" not in done.stderr


def test_a_terminal_without_the_characters(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net A { input x: [3]\noutput y = x -> rleu }")
    ended = process("check", "a.net", cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.code == 1
    assert "error[N0401]" in ended.err and "did you mean `relu`?" in ended.err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.net")).write_text("net A { input x: [3]\noutput y = x -> rleu }")
    for flags in ((), ("--json",)):
        ended = process("check", *flags, os.fsdecode(b"\xff.net"), cwd=tmp_path)
        assert ended.code == 1
        assert "N0401" in ended.err + ended.out


def test_no_colour_without_a_terminal(netdsl: Netdsl, tmp_path: Path) -> None:
    assert "\x1b" not in netdsl("check", tmp_path / "none.net").err
