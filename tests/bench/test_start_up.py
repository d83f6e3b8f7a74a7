"""The benchmark of start-up measures processes of their own, whole."""

from __future__ import annotations

import pytest

from tests.bench.start_up import STAGES, measure


def test_stages_add_up() -> None:
    found = measure("zoo:lenet5", threads=1, runs=1)
    for state in ("cold_seconds", "warm_seconds"):
        *parts, whole = (found[state][stage] for stage in STAGES)
        assert all(part > 0 for part in parts) and sum(parts) == pytest.approx(whole)
    assert found["resident_bytes"] > found["python_bytes"] > 0
    assert found["weights_bytes"] >= 4 * 61_706
