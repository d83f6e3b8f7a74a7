"""What running a compiled graph looks like, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from netdsl import numpy_on_use as np
from netdsl.record import record

Array: TypeAlias = "np.ndarray[Any, Any]"


class Executor(Protocol):
    """A graph that can be run again and again at one batch size, with its parameters resident.

    Parameters are everything that a ``param`` node of the graph names: weights, running statistics,
    optimizer state. A training-step graph changes them by its updates.
    """

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once. ``inputs`` are the graph's inputs by name, [N, ...]; returns its outputs by name."""
        ...

    def get_parameters(self) -> dict[str, Array]:
        """Copies of all parameters by name, as float32 in their logical shapes."""
        ...

    def set_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replace the named parameters (all or some)."""
        ...


@record
class Shared:
    """A value of a running program that ranks add up: ``size`` numbers, copied out and in by ``read`` and ``write``.

    Values of all ranks belong together by their order. ``read`` fills, and ``write`` takes, float32 [size] in an order
    that all ranks have.
    """

    name: str
    size: int
    read: Callable[[Array], None]
    write: Callable[[Array], None]


class Exchange(Protocol):
    """Who adds up values over the ranks that take a step together."""

    def agrees(self, text: str) -> bool:
        """Whether all ranks say the same. All must ask."""
        ...

    def connect(self, groups: Sequence[Sequence[Shared]]) -> None:
        """What a program will hand over, before it runs for the first time: groups of values, in the order in which
        they begin."""
        ...

    def begin(self, group: int) -> None:
        """The values of a group are there; nobody touches them until `end`."""
        ...

    def end(self, group: int) -> None:
        """Return when each value of a group has been replaced by its sum over all ranks."""
        ...


class Shareable(Executor, Protocol):
    """An executor of a step that is one rank's part of a larger one."""

    def connect(self, exchange: Exchange) -> None:
        """Let ``exchange`` add up what the step hands over; without it every sum is of this rank alone."""
        ...


class Profiler(Executor, Protocol):
    """An executor whose code reads a clock between the steps of its plan."""

    def step_seconds(self) -> Array:
        """Seconds that each step of the plan took in the latest run, [steps]; threads wait behind each."""
        ...
