"""Several processes that `mpiexec` starts, on one machine. Skipped where the extra `mpi` is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_program import RECIPE, SIZES, parts
from training_nets import colour_data, colour_recipe

from netdsl.driver import Build
from netdsl.train.loop import Loop
from netdsl.train.ranks import COUNTS
from netdsl.train.run_directory import RunDirectory
from netdsl.trainer import compiler_for
from netdsl.weights import read_tensors

MPIEXEC = Path(sys.executable).with_name("mpiexec")
PRESENT = find_spec("mpi4py") is not None and MPIEXEC.is_file()
needs_mpi = pytest.mark.skipif(not PRESENT, reason="needs mpi4py and its mpiexec: pip install 'netdsl[mpi]'")
TOLERANCE = 1e-4
"""Relative to the largest number of a tensor: ten steps in float32 whose sums are taken in another order."""


def environment() -> dict[str, str]:
    """Without what an `mpiexec` around the tests would say; Open MPI as root, and with more processes than cores."""
    kept = {name: value for name, value in os.environ.items() if name not in COUNTS}
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return kept | allowed | {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OMP_NUM_THREADS": "1"}


def started(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command), env=environment(), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def several(count: int, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return started(str(MPIEXEC), "-n", str(count), sys.executable, *arguments, folder=folder)


def netdsl(count: int, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return several(count, "-m", "netdsl", *arguments, folder=folder)


def ordered_sum(arrays: Sequence[Any]) -> Any:
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def assert_near(one: Path, other: Path) -> None:
    found, expected = (read_tensors(path / "last.safetensors").tensors for path in (one, other))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= TOLERANCE * np.abs(array).max() + 1e-7, name


def one_process(folder: Path) -> Path:
    run = RunDirectory.new(folder)
    run.make()
    Loop(colour_recipe(**RECIPE), colour_data(), compiler_for(Build(threads=1)), run, seed=3, workers=1).fit()
    return folder


@needs_mpi
@pytest.mark.parametrize("count", [2, 3])
def test_ranks_train_as_one_process(tmp_path: Path, count: int) -> None:
    """Batches of 5, so that parts are uneven: sums in order, the same bits again and after a stop in the middle of an
    epoch, the numbers of one process with synchronized normalization, and one writer."""
    done = several(count, "-m", "mpi4py", str(Path(__file__).with_name("rank_program.py")), str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    given = [parts(rank) for rank in range(count)]
    for number in range(len(SIZES)):
        expected = ordered_sum([arrays[number] for arrays in given])
        for rank in range(count):
            np.testing.assert_array_equal(np.load(tmp_path / f"sum-{number}-{rank}.npy"), expected)
    last = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("own", "again", "stopped")]
    assert last[0] == last[1] == last[2]
    assert_near(tmp_path / "together", one_process(tmp_path / "alone"))
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == sorted(
        path.name for path in (tmp_path / "alone").iterdir()
    )
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("together", "alone")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=TOLERANCE)


@needs_mpi
def test_the_command_line_trains_measures_and_predicts(tmp_path: Path) -> None:
    train = ("train", "zoo:linear", "--data", "digits", "--epochs", "1", "--batch", "100")
    done = netdsl(3, *train, "--out", "three", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == 1  # one process speaks
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert json.loads((tmp_path / "three" / "config.json").read_text())["processes"] == 3
    from PIL import Image

    for number in range(20):
        Image.fromarray(np.full((8, 8), 12 * number, np.uint8)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "07.png").write_text("no picture")
    pictures = [f"{number:02}.png" for number in range(20)]
    for verb in (
        ("eval", "zoo:linear", "--weights", "three", "--data", "digits", "--json"),
        ("eval", "zoo:linear", "--weights", "three", "three/last.safetensors", "--data", "digits", "--confusion"),
        ("predict", "zoo:linear", "--weights", "three", *pictures),
    ):
        alone, together = (
            started(sys.executable, "-m", "netdsl", *verb, folder=tmp_path),
            netdsl(2, *verb, folder=tmp_path),
        )
        assert (alone.stdout, alone.returncode) == (together.stdout, together.returncode), together.stderr
        assert together.stderr.startswith(alone.stderr)


@needs_mpi
def test_one_that_fails_ends_all(tmp_path: Path) -> None:
    """At once, saying which and why, and with nothing written; what all meet is told once."""
    train = [sys.executable, "-m", "netdsl", "train", "zoo:linear", "--data", "digits", "--out", "run"]
    done = started(str(MPIEXEC), "-n", "1", *train, ":", "-n", "1", *train, "--weights", "nowhere", folder=tmp_path)
    assert done.returncode != 0
    assert "process 1 of 2" in done.stderr and "no weights file `nowhere`" in done.stderr
    assert not (tmp_path / "run").exists()
    done = netdsl(2, "train", "zoo:linear", "--data", "folder:nowhere", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.count("`nowhere` is not a folder") == 1, done.stderr
    done = started(str(MPIEXEC), "-n", "1", *train, ":", "-n", "1", *train, "--seed", "5", folder=tmp_path)
    assert done.returncode == 1 and "process 1 has other settings" in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


BLOCKED = "import sys; sys.modules['mpi4py'] = None; from netdsl.__main__ import main; main()"
WATCHED = (
    "import sys; from netdsl.cli.main import run; code = run(sys.argv[1:]); "
    "sys.exit(9 if any(name.startswith('mpi4py') for name in sys.modules) else code)"
)


def test_several_processes_without_mpi_are_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "train", "zoo:linear", "--data", "digits"],
        env=environment() | {"PMI_SIZE": "2"}, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "2 processes were started together" in done.stderr and "netdsl[mpi]" in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_process_does_not_look_for_mpi(tmp_path: Path) -> None:
    done = started(
        sys.executable, "-c", WATCHED, "train", "zoo:linear", "--data", "digits", "--dry-run", "2", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
