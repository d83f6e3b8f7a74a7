"""Finding backends by name, and what users are told when one is not there."""

from __future__ import annotations

import pytest

from netdsl import backend
from netdsl.diagnostics import DeviceMissing, UserError


def install(monkeypatch: pytest.MonkeyPatch, **places: str) -> None:
    """Let exactly these backends be installed."""
    monkeypatch.setattr(backend, "_entries", lambda: places)


def test_the_cpu_is_there() -> None:
    assert "cpu" in backend.backend_names()
    device = backend.find_device("cpu")
    assert device.name == "cpu"
    assert device.plan_target.block in (4, 8, 16)
    assert backend.find_device("cpu:sse4").plan_target.block == 4


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("cpuu", "did you mean `cpu`?"),
        ("cpu:avx3", "did you mean `cpu:avx2`?"),
        ("cpu:", "has no device"),
        ("", "no target"),
    ],
)
def test_wrong_names(target: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        backend.find_device(target)
    [found] = caught.value.diagnostics
    assert found.code.id == "N0803"
    assert hint in f"{found.title} {found.help}"


@pytest.mark.parametrize("place", ["netdsl_no_such_package:backend", "netdsl:no_such_object"])
def test_a_backend_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    install(monkeypatch, gpu=place)
    with pytest.raises(DeviceMissing, match="cannot be loaded"):
        backend.find_device("gpu")


def test_no_backend_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(UserError) as caught:
        backend.find_device("cpu")
    assert caught.value.diagnostics[0].notes == ("installed targets: none",)
