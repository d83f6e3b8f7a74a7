"""The generated data are learned: a short training here, the README's with ``NETDSL_TEST_FULL=1``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netdsl.trainer import Trainer

FULL = os.environ.get("NETDSL_TEST_FULL") == "1"


def test_a_short_training(tmp_path: Path) -> None:
    data = "shapes:train=2500,test=300"
    result = Trainer("zoo:shapes_cnn", data, epochs=8, batch=20, threads=1, workers=1, out=tmp_path / "run").fit()
    assert result.progress.best is not None and result.progress.best > 0.92
    busy = [record["busy"] for record in result.run.records() if record["kind"] == "epoch"]
    assert len(busy) == 8 and all(0 <= share <= 1 for share in busy)


@pytest.mark.skipif(not FULL, reason="takes a minute: NETDSL_TEST_FULL=1")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ninety_nine_percent(tmp_path: Path, seed: int) -> None:
    result = Trainer("zoo:shapes_cnn", "shapes", seed=seed, threads=2, out=tmp_path / "run").fit()
    assert result.test["top1"] >= 0.99
