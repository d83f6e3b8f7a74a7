"""A trained LeNet-5 and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import run
from netdsl.data.picture import write_picture


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of one epoch."""
    path = tmp_path_factory.mktemp("runs") / "lenet5"
    assert run(["train", "zoo:lenet5", "--data", "digits", "--epochs", "1", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "grey.png"
    write_picture(path, np.linspace(0, 1, 900, dtype=np.float32).reshape(1, 30, 30))
    return path
