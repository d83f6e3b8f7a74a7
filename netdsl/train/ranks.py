"""The processes that train or measure together, started by `mpiexec`; or the one there mostly is.

Everything that differs between one process and several is here: which samples a rank takes, what ranks tell each
other, and who writes. Without `mpiexec` nothing of MPI is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, UserError
from netdsl.division import SHARE, Counted, Division
from netdsl.train.interrupt import StopRequest
from netdsl.train.run_directory import Onlooker, RunDirectory

if TYPE_CHECKING:
    from netdsl.plan.executor import Executor, Shareable

Array = NDArray[Any]
Item = TypeVar("Item")
COUNTS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where Open MPI, MPICH (with Intel's) and MVAPICH say how many processes they started."""


class Ranks:
    """One process: takes all samples, agrees with itself."""

    number, count = 0, 1

    @property
    def leads(self) -> bool:
        """Whether this rank writes and speaks for all."""
        return self.number == 0

    def part(self, whole: int) -> range:
        """This rank's samples of a batch of ``whole``: equal parts, one more for some where it doesn't divide."""
        return range(whole * self.number // self.count, whole * (self.number + 1) // self.count)

    def division(self, whole: int, synchronized: bool) -> Division | None:
        """How a step of ``whole`` samples is divided; None where it isn't. Batch normalization is ``synchronized`` or
        each rank's own."""
        return None

    def connect(self, executor: Executor) -> None:
        """Let ranks add up what a divided step hands over."""

    def share(self, whole: int, counted: Counted, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The further inputs of a divided step."""
        return {}

    def directory(self, run: RunDirectory) -> RunDirectory:
        """The run directory as this rank may use it."""
        return run

    def stop_request(self) -> StopRequest:
        """Listens for signals; all ranks stop after the same step."""
        return StopRequest()

    def in_order(self, rows: Array) -> Array:
        """Rows [own, columns] (float64) of batches that were dealt out in turn, as [all, columns] in the batches'
        order."""
        return rows

    def texts(self, text: str) -> list[str]:
        """What each rank says, in their order."""
        return [text]

    def all_of(self, own: list[Item], written: Callable[[Item], Any], read: Callable[[Any], Item]) -> list[Item]:
        """The items of all ranks, in their order; ``written`` makes plain JSON of one, ``read`` one of that."""
        return own

    def from_leader(self, path: Path) -> Path:
        """The leading rank's path."""
        return path

    def threads(self, usable: int) -> int:
        """Of the cores that a process may use, as many as this one should."""
        return usable

    def require_equal(self, what: str, parameters: Mapping[str, Array]) -> None:
        """Raises UserError where another rank has other numbers."""


class Several(Ranks):
    """A rank of an MPI communicator."""

    def __init__(self, mpi: Any) -> None:
        self.world = mpi.COMM_WORLD
        self.number, self.count = self.world.Get_rank(), self.world.Get_size()
        self.sums = self.world.Dup()  # used by the thread that adds up, and by nothing else
        self.endings = self.world.Dup()
        """For telling each other of an end."""
        self._near = self.world.Split_type(mpi.COMM_TYPE_SHARED)

    def division(self, whole: int, synchronized: bool) -> Division | None:
        if whole < self.count:
            raise UserError.of(
                Code.TRAIN_SETTING,
                f"a batch of {whole} has no samples for {self.count} processes",
                help=f"train with a larger batch: `--batch {8 * self.count}`",
            )
        part = self.part(whole)
        return Division(part.start, len(part), whole, self.leads, synchronized)

    def connect(self, executor: Executor) -> None:
        from netdsl.train.exchange import Exchange

        if not hasattr(executor, "connect"):
            raise UserError.of(Code.BAD_OPTION, "this target cannot train with several processes")
        cast("Shareable", executor).connect(Exchange(self.sums))

    def share(self, whole: int, counted: Counted, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if counted is None:
            return {SHARE: np.asarray(len(self.part(whole)) / whole, np.float32)}
        label, ignored = counted
        mine = int(np.count_nonzero(inputs[label] != ignored))
        total = sum(map(int, self.texts(str(mine))))
        return {SHARE: np.asarray(mine / total if total else np.nan, np.float32)}

    def directory(self, run: RunDirectory) -> RunDirectory:
        return run if self.leads else Onlooker(run.path)

    def stop_request(self) -> StopRequest:
        return _SharedStop(self)

    def in_order(self, rows: Array) -> Array:
        columns = rows.shape[1] if rows.ndim == 2 else 0
        found = [np.frombuffer(part).reshape(-1, columns) for part in gathered(self.world, rows.tobytes())]
        longest = max(map(len, found))
        return np.array([part[turn] for turn in range(longest) for part in found if turn < len(part)])

    def texts(self, text: str) -> list[str]:
        return [part.decode() for part in gathered(self.world, text.encode())]

    def all_of(self, own: list[Item], written: Callable[[Item], Any], read: Callable[[Any], Item]) -> list[Item]:
        texts = self.texts(json.dumps(list(map(written, own))))
        return [read(item) for text in texts for item in json.loads(text)]

    def from_leader(self, path: Path) -> Path:
        return Path(self.texts(str(path))[0])

    def threads(self, usable: int) -> int:
        """Processes on the same cores share them; some `mpiexec` give each cores of its own."""
        own = json.dumps(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [])
        sharing = gathered(self._near, own.encode()).count(own.encode())
        return max(1, usable // sharing)

    def require_equal(self, what: str, parameters: Mapping[str, Array]) -> None:
        digest = hashlib.sha256(what.encode())
        for name in sorted(parameters):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(parameters[name]).data)
        found = self.texts(digest.hexdigest())
        other = next((rank for rank, text in enumerate(found) if text != found[0]), None)
        if other is not None:
            raise UserError.of(
                Code.TRAIN_SETTING,
                f"process {other} has other settings or weights than process 0",
                help="all need the same files, the same options and the same version of netdsl",
            )


class _SharedStop(StopRequest):
    """A signal to one rank is one to all."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    def agree(self) -> None:
        found = max(int(text) for text in self._ranks.texts(str(int(self.pending or 0))))
        if found and self.pending is None:
            self.note(found)


ONE = Ranks()


@cache
def here() -> Ranks:
    """The ranks that this process is one of. Raises UserError where several were started and MPI cannot be used."""
    started = next((int(os.environ[name]) for name in COUNTS if os.environ.get(name, "").isdigit()), 1)
    if started == 1:
        return ONE
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError.of(
            Code.BAD_OPTION,
            f"{started} processes were started together, and mpi4py cannot be used",
            notes=(str(error),),
            help="install it: `pip install 'netdsl[mpi]'`; or start one process, without `mpiexec`",
        ) from error
    if MPI.COMM_WORLD.Get_size() != started:
        raise UserError.of(
            Code.BAD_OPTION,
            f"{started} processes were started together, but mpi4py finds {MPI.COMM_WORLD.Get_size()}",
            notes=(MPI.Get_library_version().splitlines()[0].strip("\0 "),),
            help="start them with the `mpiexec` of the MPI library that mpi4py uses",
        )
    return Several(MPI)


def gathered(communicator: Any, mine: bytes) -> list[bytes]:
    """What each rank gives, in their order."""
    sizes = np.empty(communicator.Get_size(), np.int64)
    communicator.Allgather(np.array([len(mine)], np.int64), sizes)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = bytearray(int(starts[-1]))
    communicator.Allgatherv(mine, [found, (sizes.tolist(), starts[:-1].tolist())])
    return [bytes(found[start:stop]) for start, stop in pairwise(starts)]


def sequence_of(rows: Sequence[Sequence[float]], columns: int) -> Array:
    """Rows of numbers as [rows, columns] in float64, of none too."""
    return np.array(rows, np.float64).reshape(-1, columns)
