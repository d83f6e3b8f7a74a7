"""``netdsl fmt``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Netdsl, Write
from tests.cli.support import SMALL

UGLY = "net  Small{ input x:[4]\n# kept\noutput y=x->fc( 8 )\n}"
GOOD = "net Small {\n    input x: [4]\n    # kept\n    output y = x -> fc(8)\n}\n"


def test_writes_what_changes(netdsl: Netdsl, write: Write) -> None:
    path = write(UGLY)
    path.chmod(0o640)
    ended = netdsl("fmt", path)
    assert (ended.code, ended.out, ended.err) == (0, f"{path} changed\n", "")
    assert path.read_text() == GOOD
    assert path.stat().st_mode & 0o777 == 0o640
    again = netdsl("fmt", path)
    assert (again.code, again.out) == (0, "")
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_check_and_diff_write_nothing(netdsl: Netdsl, write: Write) -> None:
    path = write(UGLY)
    ended = netdsl("fmt", "--check", path)
    assert (ended.code, ended.out) == (1, f"{path} would change\n")
    ended = netdsl("fmt", "--diff", path)
    assert ended.code == 0 and "-net  Small{" in ended.out and "+net Small {" in ended.out
    assert netdsl("fmt", "--check", "--diff", path).code == 1
    assert path.read_text() == UGLY
    path.write_text(GOOD)
    assert (netdsl("fmt", "--check", path).code, netdsl("fmt", "--diff", path).out) == (0, "")


def test_a_file_with_errors_is_left_alone(netdsl: Netdsl, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.net", tmp_path / "good.net"
    bad.write_text("net A {\n x = \n}")
    good.write_text(UGLY)
    ended = netdsl("fmt", bad, good, tmp_path / "none.net")
    assert ended.code == 1
    assert "error[N0101]" in ended.err and f"{bad}:3:1" in ended.err and "error[N0001]" in ended.err
    assert bad.read_text() == "net A {\n x = \n}"
    assert good.read_text() == GOOD


def pipe(text: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "netdsl", "fmt", "-", *options]
    return subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)


def test_stdin() -> None:
    done = pipe(UGLY.encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, GOOD.encode(), b"")
    assert pipe(SMALL.encode()).stdout == SMALL.encode()
    done = pipe(b"net {")
    assert done.returncode == 1 and b"<stdin>:1:" in done.stderr and not done.stdout
    assert pipe(b"\xff").returncode == 1
    assert pipe(UGLY.encode(), "--check").returncode == 1
