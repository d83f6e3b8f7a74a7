"""Entry points read from files are those that the standard library finds."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from netdsl import entry_points


@pytest.mark.parametrize("group", ["netdsl.backends", "console_scripts", "pytest11", "pygments.lexers"])
def test_as_the_standard_library(group: str) -> None:
    assert entry_points.registered(group) == {item.name: item.value for item in metadata.entry_points(group=group)}


def test_the_first_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, place in (("one", "first:object"), ("two", "second:object")):
        home = tmp_path / folder / f"{folder}-1.0.dist-info"
        home.mkdir(parents=True)
        text = f"[other]\na = no:object\n\n# one\n[some.group]\n; two\na = {place} [extra]\n{folder}=x:{folder}\n"
        (home / "entry_points.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.path", [str(tmp_path / "one"), str(tmp_path / "none"), str(tmp_path / "two")])
    assert entry_points.registered("some.group") == {"a": "first:object", "one": "x:one", "two": "x:two"}


def test_load() -> None:
    assert entry_points.load("pathlib:Path.cwd") == Path.cwd
    assert entry_points.load("pathlib").Path is Path
    with pytest.raises(ImportError):
        entry_points.load("netdsl_no_such_package:x")
