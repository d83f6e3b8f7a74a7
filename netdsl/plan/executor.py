"""What running a compiled graph looks like, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from netdsl import numpy_on_use as np

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


class Profiler(Executor, Protocol):
    """An executor whose code reads a clock between the steps of its plan."""

    def step_seconds(self) -> Array:
        """Seconds that each step of the plan took in the latest run, [steps]; threads wait behind each."""
        ...
