"""Where a training step leaves the finite numbers: the first node, and the samples it does so for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.plan.executor import Array, Executor
from netdsl.reference import evaluate_node, source_value
from netdsl.source import Span

_MOST_NAMED = 12


@dataclass(frozen=True)
class BadNode:
    """The first ``node`` of a step one of whose results is not finite. ``places`` are the samples of the batch for
    which it isn't; none of a result that is not of samples. ``largest`` is the largest magnitude that went in."""

    node: Node
    places: tuple[int, ...]
    largest: float

    @property
    def span(self) -> Span | None:
        return min(self.node.spans, key=lambda span: span.start, default=None)

    def notes(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """For people; ``numbers`` are the samples of the batch, by their number in the training part."""
        largest = f"the largest number that went into it was {self.largest:.4g}"
        if self.node.op in SOURCES:
            largest = "it was so before anything was computed"
        if self.node.op == "param":
            return (largest,)
        named = sorted({int(numbers[place]) for place in self.places or range(len(numbers))})
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        listed = ", ".join(map(str, named[:_MOST_NAMED]))
        which = f"of {len(numbers)} in the batch" if self.places else "the whole batch"
        return (f"training samples (numbered from 0): {listed}{more}, {which}", largest)


class Watch:
    """Looks after each step whether loss and parameters are finite; ``before`` are the latest finite parameters: those
    before a step that is not."""

    def __init__(self, graph: Graph, executor: Executor) -> None:
        self._graph, self._executor = graph, executor
        self.before = executor.get_parameters()

    def is_finite(self, loss: float) -> bool:
        """Whether all is well after a step."""
        now = self._executor.get_parameters()
        if not np.isfinite(loss) or not all(np.isfinite(array).all() for array in now.values()):
            return False
        self.before = now
        return True

    def find(self, inputs: Mapping[str, Array]) -> BadNode | None:
        """The first bad node of the step that `is_finite` said no to, or None where NumPy stays finite."""
        return first_bad(self._graph, inputs, self.before)


def first_bad(graph: Graph, inputs: Mapping[str, Array], parameters: Mapping[str, Array]) -> BadNode | None:
    """Run a step with NumPy in float32, as far as its first result that is not finite."""
    last_reader = {value: node for node in graph.nodes for value in node.inputs}
    values: dict[Value, Array] = {}
    for node in graph.nodes:
        arrays = [values[value] for value in node.inputs]
        if node.op in SOURCES:
            results = [source_value(node, inputs, parameters, np.float32)]
        else:
            results = evaluate_node(node, arrays)
        for value, result in zip(node.outputs, results, strict=True):
            if not np.isfinite(result).all():
                return BadNode(node, _places(value, result), _largest(arrays))
            values[value] = result
        for value in {*node.inputs, *node.outputs}:
            if last_reader.get(value, node) is node:
                values.pop(value, None)
    return None


def _places(value: Value, result: Array) -> tuple[int, ...]:
    if not value.type.batched:
        return ()
    bad = ~np.isfinite(result.reshape(len(result), -1)).all(axis=1)
    return tuple(np.flatnonzero(bad).tolist())


def _largest(arrays: Sequence[Array]) -> float:
    return max((float(np.abs(array).max()) for array in arrays if array.size), default=0.0)
