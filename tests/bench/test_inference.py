"""The inference benchmark: who takes part, what is compared, and what its table says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench import table
from tests.bench.inference import TOLERANCE, chosen_programs
from tests.bench.nets import NETWORKS, Array, Task
from tests.bench.peers import FRAMEWORKS, OURS, framework
from tests.bench.turns import Pace, compare, largest_difference, take_turns
from tests.bench.workers import Failed, Worker

PROGRAMS: dict[str, Any] = {
    OURS: {"difference": 0.0, "median": 2.0, "low": 1.9, "high": 2.5, "rounds": 3},
    "A": {"difference": 1e-7, "median": 4.0, "low": 3.9, "high": 4.5, "rounds": 3},
    "B": {"difference": 2e-7, "median": 3.0, "low": 2.9, "high": 3.5, "rounds": 3},
    "C": {"failed": "not installed: c"},
}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    pytest.importorskip("onnx")
    return Task.prepare(NETWORKS["lenet5"], 2, 0, tmp_path)


def result(programs: dict[str, Any]) -> dict[str, Any]:
    head = {"network": "Net", "file": "zoo:net", "batch": 1, "threads": 2}
    return head | table.best_peer(programs) | {"programs": programs}


def test_every_peer_has_programs_and_packages() -> None:
    titles = [title for name in FRAMEWORKS for title in framework(name).PROGRAMS]
    assert titles[0] == OURS and len(set(titles)) == len(titles)
    assert all(framework(name).PACKAGES for name in FRAMEWORKS)


def test_leaving_peers_out() -> None:
    left = chosen_programs(["ncnn", "torch.compile"])
    assert "ncnn" not in left and "PyTorch" in left["pytorch"] and "torch.compile" not in left["pytorch"]
    for wrong in ("nccn", OURS):
        with pytest.raises(SystemExit, match=wrong):
            chosen_programs([wrong])


def test_ratio_is_to_the_fastest_peer() -> None:
    assert table.best_peer(PROGRAMS) == {"best_peer": "B", "ratio": 1.5}
    assert table.best_peer({OURS: PROGRAMS[OURS], "C": PROGRAMS["C"]}) == {"best_peer": None, "ratio": None}


def test_the_table_names_who_is_missing() -> None:
    document = {
        "machine": {"processor": "P", "vectors": "avx2", "cores": 2, "system": "Linux", "versions": {"c": None}},
        "command": "run",
        "clock": "wall",
        "tolerance": 1e-4,
        "results": [result(PROGRAMS)],
    }
    text = table.markdown(document)
    assert "c not installed" in text
    assert "| Net | 2 (1.9–2.5) | 4 (3.9–4.5) | **3** (2.9–3.5) | – | 1.50 |" in text
    assert "Largest difference of outputs to netdsl's: A 1e-07, B 2e-07." in text
    assert "- Net, batch 1, 2 threads, C: not installed: c" in text
    assert "geometric mean 1.50, least 1.50, over 1 networks" in text
    assert "not installed: c" in table.plain(result(PROGRAMS))


def test_other_outputs_are_not_timed() -> None:
    ours = [np.array([1.0, 2.0])]
    outputs: dict[str, list[Array] | Failed] = {
        OURS: ours,
        "same": ours,
        "off": [ours[0] + 0.01],
        "gone": Failed("why"),
    }
    found = compare(outputs, TOLERANCE)
    assert "failed" not in found["same"]
    assert "differ by 5.0e-03" in found["off"]["failed"]
    assert found["gone"] == {"failed": "why"}
    assert largest_difference(ours, [np.array([1.0])]) == float("inf")
    assert compare({OURS: ours, "nan": [ours[0] * np.nan]}, TOLERANCE)["nan"]["failed"]


def test_a_worker_runs_only_in_its_turn(task: Task) -> None:
    with Worker(framework(OURS).__name__, task, 1, frozenset([OURS])) as worker:
        (outputs,) = worker.made.values()
        assert not isinstance(outputs, Failed) and outputs[0].shape == (2, 10)
        taken = worker.turn(OURS, 0.01)
        assert isinstance(taken, float) and 0 < taken < 1
        assert worker._process.pid is not None and _state(worker._process.pid) == "T"


def test_a_worker_that_dies_is_named(task: Task) -> None:
    with Worker(framework(OURS).__name__, task, 1, frozenset([OURS])) as worker:
        assert worker._process.pid is not None
        os.kill(worker._process.pid, signal.SIGKILL)
        found = take_turns([(worker, OURS)], {OURS: {"difference": 0.0}}, Pace(3, 0.01))
    assert found == {OURS: {"failed": "its process ended with exit code -9"}}


def _state(process: int) -> str:
    """As proc(5) has it, once the signal that is on its way has arrived."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    for _ in range(100):
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "T":
            break
        time.sleep(0.01)
    return state
