"""Every code has a story, and every example gives its code."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path

import pytest

from netdsl.diagnostics import Code, UserError
from netdsl.explain import find_code, tell
from tests.cli.conftest import Netdsl, netdsl  # noqa: F401  (a fixture)

WITHOUT_EXAMPLE = {
    "N0506": "depends on how much memory there is",
    "N0801": "depends on what a backend lacks",
    "N0804": "needs an op that is added from Python",
}
INTEL = platform.machine().lower() in ("x86_64", "amd64")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples speak of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large.net").write_text("#" * (1 << 20) + "\n")
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    for part in ("train", "t10k"):
        (broken / f"{part}-images-idx3-ubyte").write_bytes(b"no idx")
        (broken / f"{part}-labels-idx1-ubyte").write_bytes(b"no idx")
    (tmp_path / "broken.json").write_text('{"schema": 1, "cores": 0}')
    (tmp_path / "broken.safetensors").write_bytes(b"no safetensors")
    return tmp_path


def write_weights(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from netdsl.driver import Origin, load

    params = [node for node in load(Origin("zoo:lenet5")).graph.nodes if node.op == "param"]
    save_file({node.name: np.zeros(node.types[0].shape, np.float32) for node in params}, folder / "lenet5.safetensors")
    save_file({"other.weight": np.zeros(3, np.float32)}, folder / "other.safetensors")


def run_example(code: Code, folder: Path, command_line: Netdsl) -> str:
    story = tell(code)
    if story.net:
        (folder / "net.net").write_text(story.net)
    if ".safetensors" in story.command:
        write_weights(folder)
    words = shlex.split(story.command)
    assert words[0] == "netdsl"
    return command_line(*words[1:]).err


@pytest.mark.parametrize("code", Code, ids=lambda code: code.id)
def test_the_example_gives_its_code(code: Code, folder: Path, netdsl: Netdsl) -> None:  # noqa: F811
    story = tell(code)
    assert story.text.strip(), f"write netdsl/explain/{code.id}.md"
    if code.id in WITHOUT_EXAMPLE:
        assert not story.command
        return
    if code is Code.DEVICE_MISSING and not INTEL:
        pytest.skip("its example needs a machine that is not of ARM's kind")
    assert f"[{code.id}]" in run_example(code, folder, netdsl)


def test_examples_are_one_mistake_each(folder: Path, netdsl: Netdsl) -> None:  # noqa: F811
    for code in Code:
        if code.id not in WITHOUT_EXAMPLE and tell(code).command == "netdsl check net.net":
            found = run_example(code, folder, netdsl)
            others = {item.id for item in Code if f"[{item.id}]" in found} - {code.id}
            assert not others, f"{code.id} also gives {others}"


@pytest.mark.parametrize("text", ["N0203", "n0203", "203", "shape_mismatch", "Shape-Mismatch"])
def test_ways_to_name_a_code(text: str) -> None:
    assert find_code(text) is Code.SHAPE_MISMATCH


def test_unknown_codes() -> None:
    for text, near in (("N0230", "N02"), ("shape_mismach", "SHAPE_MISMATCH")):
        with pytest.raises(UserError) as caught:
            find_code(text)
        assert f"did you mean `{near}" in str(caught.value.diagnostics[0].help)


def test_verb(netdsl: Netdsl) -> None:  # noqa: F811
    ended = netdsl("explain", "N0203")
    assert ended.code == 0 and "skip = image -> conv(32, 1x1)" in ended.out
    assert ended.out.startswith("N0203: shapes that do not meet\n\n") and "To see it: netdsl check" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 120
    assert not any(line.startswith(" ") and not line.startswith("    ") for line in ended.out.splitlines())
    listed = netdsl("explain").out.splitlines()
    assert [line.split()[0] for line in listed] == [code.id for code in Code]
    assert netdsl("explain", "N0203", "--json").json["example"]["command"] == "netdsl check net.net"
    assert len(netdsl("explain", "--json").json["codes"]) == len(listed)
    wrong = netdsl("explain", "N0299")
    assert wrong.code == 1 and "there is no code `N0299`" in wrong.err
