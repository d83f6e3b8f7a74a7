"""``netdsl doctor``."""

from __future__ import annotations

import pytest

from netdsl.cli import doctor
from tests.cli.conftest import Netdsl


def test_it_names_what_there_is(netdsl: Netdsl) -> None:
    ended = netdsl("doctor")
    assert ended.code == 0
    for fact in ("python", "numpy", "llvmlite", "cores", "vector_floats", "cache"):
        assert fact in ended.out
    document = netdsl("doctor", "--json").json
    assert document["schema"] == 1
    assert document["ok"] is True
    assert document["targets"]["cpu"]["works"] is True


def test_it_tells_what_is_wrong(netdsl: Netdsl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "REQUIRED", ("numpy", "no-such-package-of-netdsl"))
    ended = netdsl("doctor")
    assert ended.code == 1
    assert "no-such-package-of-netdsl is missing" in ended.err
    assert netdsl("doctor", "--json").json["problems"] == ["the package no-such-package-of-netdsl is missing"]
