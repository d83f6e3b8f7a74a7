"""What is planned is what is used: never less.

Three measures. The peak that ``report`` states is, to the byte, the arena that is allocated. Resident memory grows
during runs by no more than that, rounded up to whole huge pages (2 MiB), the outputs, and 1 MiB for stacks of threads
and Python. And code that gets exactly the planned bytes, between pages that end the process when they are
touched, never reads or writes outside.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from netdsl.driver import Build, report
from tests.zoo.nets import zoo_model

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures through /proc and mprotect")

ROOT = Path(__file__).parents[2]
HUGE_PAGE, SLACK = 2 << 20, 1 << 20


def measure(*arguments: object) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.e2e.measure_memory", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}"
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("kind", "net", "side", "batch"),
    [
        ("inference", "lenet5", 0, 64),
        ("training", "lenet5", 0, 64),
        ("inference", "resnet50", 0, 1),
        ("training", "resnet18", 96, 2),
    ],
)
def test_planned_memory_is_never_below_use(kind: str, net: str, side: int, batch: int, tmp_path: Path) -> None:
    found = measure(kind, net, side, batch, "resident")
    assert found["allocated_arena"] == found["arena"]
    assert found["allocated_weights"] == found["weights"]
    rounded = -(-found["arena"] // HUGE_PAGE) * HUGE_PAGE
    assert found["growth"] <= rounded + found["outputs"] + SLACK
    assert found["growth"] >= found["arena"] // 2, "this measure does not see the arena"
    if kind == "inference":
        said = report(zoo_model(net, side or None, tmp_path), Build(batch=batch, threads=2)).memory
        assert said.inference_peak == found["arena"]


def test_the_training_peak_is_that_of_the_step(tmp_path: Path) -> None:
    """Without a train block the report plans the default step, which is what is measured here."""
    said = report(zoo_model("resnet18", 96, tmp_path), Build(batch=2, threads=2)).memory
    assert said.training_peak == measure("training", "resnet18", 96, 2, "resident")["arena"]


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(
    ("kind", "net", "side", "batch"),
    [
        ("inference", "lenet5", 0, 3),
        ("training", "lenet5", 0, 5),
        ("inference", "googlenet", 80, 1),
        ("training", "resnet18", 64, 2),
        ("inference", "unet_bn", 48, 1),
    ],
)
def test_no_access_outside_the_planned_memory(kind: str, net: str, side: int, batch: int, place: str) -> None:
    measure(kind, net, side, batch, place)
