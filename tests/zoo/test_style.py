"""The zoo is written in the one style that ``netdsl fmt`` makes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from netdsl.cli.fmt import command

FILES = sorted(Path(str(files("netdsl.zoo"))).glob("*/*.net"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_in_style(path: Path) -> None:
    result = CliRunner().invoke(command, ["--check", str(path)], obj=None)
    assert result.exit_code == 0, result.output
