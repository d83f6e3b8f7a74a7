"""Every diagnostic as users see it: ``<code>_<case>.net`` and its golden rendering ``<code>_<case>.txt``."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from netdsl.diagnostics import Code, Diagnostic, UserError, render
from netdsl.elaborate import elaborate, limits, load_program
from netdsl.report.findings import warnings_of

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("N*.net"))
# Codes that say something about the outside (files, data, weights, devices), tested where they arise.
ELSEWHERE = ("N0002", "N0005", "N0006", "N0007", "N0209", "N0501", "N0506")


def findings(path: Path) -> tuple[Diagnostic, ...]:
    """All errors, or else all warnings, of the one net that the file is about."""
    try:
        return warnings_of(elaborate(load_program(path)))
    except UserError as error:
        return error.diagnostics


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_rendering(case: Path, golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    monkeypatch.setattr(limits, "MAX_NODES", 1_000)
    monkeypatch.setattr(limits, "MAX_STEPS", 10_000)
    found = findings(Path(case.name))
    assert case.stem.split("_")[0] in {item.code.id for item in found}
    golden(case.with_suffix(".txt"), render(found, color=False) + "\n")


def test_every_code_has_a_case() -> None:
    covered = {path.stem.split("_")[0] for path in CASES}
    concerned = {code.id for code in Code if code.id < "N06"} - set(ELSEWHERE)
    assert concerned <= covered


def test_errors_cross_process_boundaries() -> None:
    error = UserError.of(Code.SHAPE_MISMATCH, "shapes do not meet", notes=["1 ≠ 2"])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is UserError and again.diagnostics == error.diagnostics and str(again) == str(error)
