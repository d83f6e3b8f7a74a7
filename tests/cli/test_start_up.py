"""What is not needed is not imported; that is what keeps the command line quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.support import process

HEAVY = ("llvmlite", "networkx", "rich", "PIL", "matplotlib", "safetensors", "lark", "torch")


def imported(code: str, cwd: Path) -> set[str]:
    """Top-level packages that running ``code`` imports."""
    show = f"import sys\n{code}\nprint('MODULES', *sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, cwd=cwd, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_importing_netdsl_is_cheap(tmp_path: Path) -> None:
    assert not imported("import netdsl", tmp_path) & {*HEAVY, "numpy", "click", "netdsl_llvm"}


def test_help_needs_no_numpy(tmp_path: Path) -> None:
    code = "from netdsl.cli.main import run; run(['-h'])"
    assert not imported(code, tmp_path) & {*HEAVY, "numpy", "netdsl_llvm"}


def test_report_and_check_need_nothing_heavy(lenet: Path) -> None:
    for verb in ("report", "check"):
        code = f"from netdsl.cli.main import run; run([{verb!r}, 'lenet.net'])"
        assert not imported(code, lenet.parent) & {*HEAVY, "numpy"}


def test_as_a_module(lenet: Path) -> None:
    ended = process("report", "lenet.net", cwd=lenet.parent)
    assert ended.code == 0 and "61,706" in ended.out
    assert process("report", "none.net", cwd=lenet.parent).code == 1
