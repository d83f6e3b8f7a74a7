"""The programs whose training is measured: one module a framework, as in ``tests.bench.peers``.

A maker takes a ``TrainingTask`` and the number of threads and gives a ``Step``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from tests.bench.memory import peak_bytes
from tests.bench.nets import Array
from tests.bench.peers import OURS, Program
from tests.bench.training_task import TrainingTask

FRAMEWORKS = (OURS, "pytorch")


@dataclass(frozen=True)
class Step:
    """One whole step of training; gives the loss, one number.

    ``start_bytes``: what its process had in memory with the framework imported, but nothing of the network.
    ``planned_bytes``: what the framework says that the step takes, where it knows beforehand.
    """

    run: Program
    start_bytes: int | None
    planned_bytes: int | None = None

    def __call__(self, inputs: Mapping[str, Array]) -> list[Array]:
        return self.run(inputs)


Maker = Callable[[TrainingTask, int], Step]


def memory_of(step: Step, inputs: Mapping[str, Array]) -> dict[str, int]:
    """Bytes: the process's peak above its start, and the plan; without what the system or framework doesn't say."""
    peak = peak_bytes()
    found = {"peak": peak - step.start_bytes if peak is not None and step.start_bytes is not None else None}
    found["planned"] = step.planned_bytes
    return {name: number for name, number in found.items() if number is not None}


def framework(name: str) -> ModuleType:
    """The module of a framework; it imports the framework itself only when a maker is called."""
    return import_module(f"tests.bench.trainers.{name}")
