"""What README.md shows is what netdsl does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netdsl.cli.main import VERBS, run

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in zip(("tiny.net", "broken.net"), blocks("net"), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def machine_independent(text: str) -> list[str]:
    """Without the peaks, which depend on the machine's vectors and cores."""
    return [line for line in text.rstrip().splitlines() if not re.match("(inference|training) peak ", line)]


def test_the_two_commands_come_first() -> None:
    assert [text.strip() for text in blocks("")] == [
        "python -m pip install . && netdsl demo",
        "python -m pip install '.[test]' && python -m pytest -n auto",
    ]


@pytest.mark.usefixtures("folder")
def test_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "tiny.net", "--batch", "64"]) == 0
    shown, _ = blocks("text")
    assert machine_independent(capsys.readouterr().out) == machine_independent(shown)


@pytest.mark.usefixtures("folder")
def test_the_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "broken.net"]) == 1
    found = capsys.readouterr()
    _, shown = blocks("text")
    assert f"{found.err.rstrip()}\n\n{found.out}" == shown


@pytest.mark.usefixtures("folder")
def test_the_python() -> None:
    [code] = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert getattr(names["probabilities"], "shape", None) == (8, 10)


def test_every_verb_is_named() -> None:
    assert set(re.findall(r"^\| `netdsl ([\w-]+)", README, re.MULTILINE)) == set(VERBS)


def test_every_place_exists() -> None:
    root = Path(__file__).parents[1]
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (root / link).exists(), link
    for place in re.findall(r"`((?:netdsl|backends|zoo|grammar)/[\w./]*)`", README):
        assert (root / place).exists(), place
