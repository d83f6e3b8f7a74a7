"""A compiled graph with its parameters: `netdsl.plan.executor.Executor`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netdsl.ir.graph import Graph
from netdsl.plan.executor import Array
from netdsl_llvm.runtime import Program


class CpuExecutor:
    """Runs a program; parameters of an inference graph are what the resident weights were computed from."""

    def __init__(self, graph: Graph, program: Program, parameters: Mapping[str, Array]) -> None:
        self._graph, self._program = graph, program
        self._training = bool(graph.updates)
        self._given = {node.name: np.asarray(parameters[node.name]) for node in graph.params}
        self._load()

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; outputs are arrays of their own."""
        return self._program.run(inputs)

    def get_parameters(self) -> dict[str, Array]:
        """Copies of all parameters, as they are now."""
        if not self._training:
            return {name: array.astype(np.float32) for name, array in self._given.items()}
        return {name: self._program.weight(name) for name in self._given}

    def set_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replace some or all. KeyError for a name the graph lacks, ValueError for a wrong shape."""
        current = self.get_parameters() if self._training else self._given
        for name, array in parameters.items():
            if np.shape(array) != np.shape(current[name]):
                raise ValueError(f"{name} is {np.shape(array)}, the graph has {np.shape(current[name])}")
        self._given = {**current, **{name: np.array(array) for name, array in parameters.items()}}
        self._load()

    def _load(self) -> None:
        values = self._given
        resident = {weight.name for weight in self._program.plan.weights}
        if resident - values.keys():
            from netdsl.reference import evaluate_weights

            values = {**evaluate_weights(self._graph, self._given), **self._given}
        self._program.set_weights(values)
