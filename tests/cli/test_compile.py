"""``netdsl compile``: every stage, the same bytes every time, and files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Netdsl, Write

TEXT_STAGES = {
    "tree": "Program",
    "graph": "graph Small",
    "optimized": "graph Small",
    "plan": "plan Small",
    "llvm": "define ",
    "asm": "netdsl_run",
}


@pytest.mark.parametrize(("stage", "mark"), TEXT_STAGES.items())
def test_stages(netdsl: Netdsl, small: Path, stage: str, mark: str) -> None:
    first = netdsl("compile", small, "--emit", stage)
    assert (first.code, first.err) == (0, "")
    assert mark in first.out
    assert netdsl("compile", small, "--emit", stage).out == first.out


def test_an_object_goes_to_a_file(netdsl: Netdsl, small: Path, tmp_path: Path) -> None:
    refused = netdsl("compile", small, "--emit", "obj")
    assert refused.code == 1 and "-o PATH" in refused.err
    path = tmp_path / "small.o"
    assert netdsl("compile", small, "--emit", "obj", "-o", path, "--target", "cpu:avx2").code == 0
    first = path.read_bytes()
    assert first.startswith(b"\x7fELF")
    assert netdsl("compile", small, "--emit", "obj", "-o", path, "--target", "cpu:avx2").code == 0
    assert path.read_bytes() == first


def test_the_training_step(netdsl: Netdsl, lenet: Path, small: Path) -> None:
    step = netdsl("compile", lenet, "--emit", "step")
    assert "update conv1.weight = conv1.weight.sgd.0" in step.out
    plan = netdsl("compile", lenet, "--emit", "plan", "--training", "--batch", "4")
    assert "batch 4" in plan.out and "sgd" in plan.out
    none = netdsl("compile", small, "--emit", "step")
    assert none.code == 1 and "error[N0701]" in none.err


def test_passes_are_chosen_and_explained(netdsl: Netdsl, small: Path) -> None:
    all_passes = netdsl("compile", small, "--emit", "optimized", "--explain-passes", "--verify")
    assert "fuse_epilogue" in all_passes.err and "rewrote" in all_passes.err
    assert "then" in all_passes.out
    none = netdsl("compile", small, "--emit", "optimized", "--passes", "none", "--explain-passes")
    assert none.err == "" and none.out == netdsl("compile", small, "--emit", "graph").out
    one = netdsl("compile", small, "--emit", "optimized", "--passes", "dead_code", "--explain-passes")
    assert one.err == "dead_code\n  nothing to do\n"
    wrong = netdsl("compile", small, "--emit", "optimized", "--passes", "dead_cod")
    assert wrong.code == 1 and "did you mean `dead_code`?" in wrong.err


def test_targets(netdsl: Netdsl, small: Path) -> None:
    assert "for cpu-avx2" in netdsl("compile", small, "--target", "cpu:avx2").out
    for target, hint in [("cpu:avx3", "cpu:avx2"), ("cpuu", "did you mean `cpu`?")]:
        ended = netdsl("compile", small, "--target", target)
        assert ended.code == 1
        assert "error[N0803]" in ended.err and hint in ended.err


def test_what_is_not_a_file_is_not_replaced(netdsl: Netdsl, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (folder, Path(os.devnull), folder / "none" / "out.txt"):
        ended = netdsl("compile", small, "--emit", "graph", "-o", path)
        assert ended.code == 1
        assert "error[N0006]" in ended.err
    assert list(folder.iterdir()) == []
    assert not Path(os.devnull).is_file()


def test_a_link_is_followed(netdsl: Netdsl, small: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("before")
    link.symlink_to(real)
    assert netdsl("compile", small, "--emit", "graph", "-o", link).code == 0
    assert link.is_symlink() and real.read_text().startswith("graph Small")


def test_errors_leave_the_earlier_file(netdsl: Netdsl, write: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    out.write_text("before")
    path = write("net N { input x: [3]\noutput y = x -> rleu }")
    assert netdsl("compile", path, "--emit", "graph", "-o", out).code == 1
    assert out.read_text() == "before"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["net.net", "out.txt"]
