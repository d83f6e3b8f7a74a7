"""The oracle: a graph run with NumPy, one node after the other, in float64 unless asked otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops.base import Array, Call, get
from netdsl.ops.pointwise import evaluate_aligned
from netdsl.record import record


@record
class Run:
    """What one run gave: outputs and updates by name, and the values that were asked for."""

    outputs: dict[str, Array]
    updates: dict[str, Array]
    values: dict[Value, Array]


class Interpreter:
    """Runs a graph on arrays; batched inputs have a leading axis N, the same for all."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._last_reader = {value: node for node in graph.nodes for value in node.inputs}

    def run(
        self,
        inputs: Mapping[str, Array],
        params: Mapping[str, Array],
        dtype: Any = np.float64,
        keep: Iterable[Value] = (),
    ) -> Run:
        """Values by name; arithmetic in ``dtype``, class numbers and counters in int32.

        ``keep`` are values wanted beside outputs and updates; all others are dropped after their last reader.
        Raises KeyError for a missing input or parameter, ValueError for one of the wrong shape.
        """
        kept = {*keep, *self._graph.results()}
        values: dict[Value, Array] = {}
        for node in self._graph.nodes:
            if node.op in SOURCES:
                values[node.output] = source_value(node, inputs, params, dtype)
            else:
                arrays = [values[value] for value in node.inputs]
                values.update(zip(node.outputs, evaluate_node(node, arrays), strict=True))
            for value in {*node.inputs, *node.outputs} - kept:
                if value in values and self._last_reader.get(value, node) is node:
                    del values[value]
        outputs = {name: values[value] for name, value in self._graph.outputs.items()}
        updates = {name: values[value] for name, value in self._graph.updates.items()}
        return Run(outputs, updates, values)


def source_value(node: Node, inputs: Mapping[str, Array], params: Mapping[str, Array], dtype: Any) -> Array:
    """The array behind an ``input``, ``param`` or ``const`` node, in the precision of the run."""
    given = {"input": inputs, "param": params}.get(node.op)
    array = np.asarray(node.attrs["value"] if given is None else given[node.name])
    expected = node.output.type
    lead = array.shape[:1] if expected.batched else ()
    if array.shape != (*lead, *expected.shape):
        raise ValueError(f"{node.name} is {array.shape}, the graph says {expected}")
    return array.astype(np.int32 if expected.dtype is DType.I32 else dtype, copy=False)


def evaluate_node(node: Node, arrays: Sequence[Array]) -> list[Array]:
    """Results of one node, its epilogue applied."""
    main = len(node.main_inputs)
    with np.errstate(all="ignore"):
        results = get(node.op).reference(Call.of(node), arrays[:main])
    if node.epilogue is not None:
        types = [node.types[0], *(value.type for value in node.epilogue_inputs)]
        operands = [results[0], *arrays[main:]]
        results = [evaluate_aligned(node.epilogue.expr, operands, types, node.types[0]), *results[1:]]
    for result, type in zip(results, node.types, strict=True):
        _check(node, result, type)
    return results


def _check(node: Node, result: Array, type: TensorType) -> None:
    lead = result.shape[:1] if type.batched else ()
    if result.shape != (*lead, *type.shape):
        raise ValueError(f"{node.op} {node.name} gave {result.shape}, its type is {type}")


def evaluate_weights(graph: Graph, params: Mapping[str, Array]) -> dict[str, Array]:
    """Everything the rest of the graph reads (or that is an output) and that depends on weights only.

    By value name, computed in float64: parameters and constants themselves, and the weight expressions that
    passes made, such as folded weights.
    """
    known: set[Value] = set()
    wanted: set[Value] = set(graph.outputs.values())
    for node in graph.nodes:
        of_weights = node.op not in SOURCES and node.inputs and all(value in known for value in node.inputs)
        if of_weights or node.op in ("param", "const"):
            known.update(node.outputs)
        else:
            wanted.update(node.inputs)
    return {value.name: array for value, array in weight_values(graph, params, wanted & known)}


def weight_values(graph: Graph, params: Mapping[str, Array], wanted: Set[Value]) -> Iterator[tuple[Value, Array]]:
    """The values of ``wanted``, which depend on weights only, in float64 and the graph's order.

    Only what they need is computed, and no array is kept longer than something reads it: a caller that puts one after
    the other where it belongs never holds them all.
    """
    needed = _ancestors(graph, wanted)
    last_reader = {value: node for node in needed for value in node.inputs}
    known: dict[Value, Array] = {}

    def read(value: Value) -> Array:
        return known[value] if value in known else source_value(value.node, {}, params, np.float64)

    for node in needed:
        if node.op not in SOURCES:
            known.update(zip(node.outputs, evaluate_node(node, list(map(read, node.inputs))), strict=True))
        yield from ((value, read(value)) for value in node.outputs if value in wanted)
        for value in {*node.inputs, *node.outputs}:
            if last_reader.get(value, node) is node:
                known.pop(value, None)


def _ancestors(graph: Graph, wanted: Set[Value]) -> list[Node]:
    """The nodes that ``wanted`` are computed by, in the graph's order."""
    needed: list[Node] = []
    values = set(wanted)
    for node in reversed(graph.nodes):
        if not values.isdisjoint(node.outputs):
            needed.append(node)
            values.update(node.inputs)
    return needed[::-1]


class ReferenceStep:
    """A training-step graph with resident parameters (plan.executor.Executor), by the interpreter."""

    def __init__(self, graph: Graph, params: Mapping[str, Array], dtype: Any = np.float64) -> None:
        self._interpreter = Interpreter(graph)
        self._dtype = dtype
        self.parameters = {node.name: np.array(params[node.name], dtype=dtype) for node in graph.params}

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        result = self._interpreter.run(inputs, self.parameters, self._dtype)
        self.parameters.update(result.updates)
        return result.outputs

    def get_parameters(self) -> dict[str, Array]:
        return {name: array.astype(np.float32) for name, array in self.parameters.items()}

    def set_parameters(self, parameters: Mapping[str, Array]) -> None:
        for name, array in parameters.items():
            if array.shape != self.parameters[name].shape:
                raise ValueError(f"{name} is {array.shape}, the graph has {self.parameters[name].shape}")
            self.parameters[name] = np.array(array, dtype=self._dtype)
