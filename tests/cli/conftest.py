"""Fixtures: a command line, and files to give it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netdsl.cli.main import run
from tests.cli.support import LENET, SMALL, Ended

Netdsl = Callable[..., Ended]
Write = Callable[[str], Path]


@pytest.fixture
def netdsl(capsys: pytest.CaptureFixture[str]) -> Netdsl:
    """The command line, run in this process."""

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        found = capsys.readouterr()
        return Ended(code, found.out, found.err)

    return call


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A .net file of this text."""

    def make(text: str) -> Path:
        path = tmp_path / "net.net"
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    path = tmp_path / "lenet.net"
    path.write_text(LENET, encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.net"
    path.write_text(SMALL, encoding="utf-8")
    return path
