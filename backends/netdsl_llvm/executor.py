"""A compiled graph with its parameters: `netdsl.plan.executor.Executor`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from netdsl.diagnostics import Code, UserError
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.scalar import Var
from netdsl.mapped_file import is_intact, release
from netdsl.plan.executor import Array, Exchange
from netdsl_llvm.compile import rest
from netdsl_llvm.runtime import Program


class CpuExecutor:
    """Runs a program; parameters of an inference graph are what the resident weights were computed from.

    Those stay where the caller has them, in a mapped file for instance; a training step's change in the memory of the
    program and are kept nowhere else.
    """

    def __init__(self, graph: Graph, program: Program, parameters: Mapping[str, Array]) -> None:
        self._graph, self._program = graph, program
        self._training = bool(graph.updates)
        self._shapes = {node.name: node.output.type.shape for node in graph.params}
        self._given = {name: np.asarray(parameters[name]) for name in self._shapes}
        rest()
        self._load()
        if self._training:
            self._given = {}

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; outputs are arrays of their own."""
        return self._program.run(inputs)

    def connect(self, exchange: Exchange) -> None:
        """Let ``exchange`` add up what the step hands over."""
        self._program.connect(exchange)

    def get_parameters(self) -> dict[str, Array]:
        """Copies of all parameters, as they are now. Raises UserError if the file they are in was written into."""
        if not self._training:
            _require_intact(self._given)
            return {name: array.astype(np.float32) for name, array in self._given.items()}
        return {name: self._program.weight(name) for name in self._shapes}

    def set_parameters(self, parameters: Mapping[str, Array]) -> None:
        """Replace some or all. KeyError for a name the graph lacks, ValueError for a wrong shape.

        Raises UserError if the file that the others are in was written into.
        """
        for name, array in parameters.items():
            if np.shape(array) != self._shapes[name]:
                raise ValueError(f"{name} is {np.shape(array)}, the graph has {self._shapes[name]}")
        if self._training:
            for name, array in parameters.items():
                self._program.set_weight(name, np.asarray(array))
        else:
            given = {**self._given, **{name: np.array(array) for name, array in parameters.items()}}
            _require_intact(given)
            self._given = given
            self._load()

    def _load(self) -> None:
        for name, array, factors in self._residents():
            self._program.set_weight(name, array, factors)
            release(array)

    def _residents(self) -> Iterator[tuple[str, Array, Array | None]]:
        """Every resident weight: a parameter, one with a factor for each row, or what is computed from weights."""
        values = {value.name: value for node in self._graph.nodes for value in node.outputs}
        scaled: dict[Value, list[Node]] = {}
        computed: set[Value] = set()
        for name in dict.fromkeys(weight.name for weight in self._program.plan.weights):
            node = values[name].node
            if name in self._given:
                yield name, self._given[name], None
            elif _is_scaled_parameter(node):
                scaled.setdefault(node.inputs[1], []).append(node)
            else:
                computed.add(values[name])
        if not scaled and not computed:
            return
        from netdsl.reference import weight_values

        for value, array in weight_values(self._graph, self._given, scaled.keys() | computed):
            for node in scaled.get(value, ()):
                yield node.output.name, self._given[node.inputs[0].node.name], array
            if value in computed:
                yield value.name, array, None


def _require_intact(arrays: Mapping[str, Array]) -> None:
    if not all(map(is_intact, arrays.values())):
        raise UserError.of(
            Code.WEIGHTS_UNREADABLE,
            "the file with the weights was written into while they were in use",
            help="write another file and give it the old one's name, or compile the network again",
        )


def _is_scaled_parameter(node: Node) -> bool:
    """Whether it is a parameter times one number for each index of its first axis, as folded batch norms make it."""
    if node.op != "map" or node.attrs["expr"] != Var(0) * Var(1) or node.epilogue is not None:
        return False
    weight, factors = node.inputs
    shape = node.output.type.shape
    return weight.node.op == "param" and weight.type.shape == shape and factors.type.shape == shape[:1]
