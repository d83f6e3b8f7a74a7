"""Looking into a training: gradients, weights, updates and activations of each layer, at some of its steps.

What is looked at comes from a graph of its own, compiled beside the training step: the same layers in their training
forms, the same samples, the same dropout, the weights as they were before the step. The step itself is not touched, so
a training has the same bits whether it is inspected or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.autodiff import gradient_graph
from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.types import DType
from netdsl.plan.executor import Array
from netdsl.train.checkpoint import Progress
from netdsl.train.recipe import Recipe
from netdsl.train.spread import Spread

if TYPE_CHECKING:
    from netdsl.train.evaluate import MakeExecutor

SCHEMA = 1
RECTIFIER = "relu"
"""The op whose units can die: one that gives 0 for every sample has no gradient any more."""
_MOVES = frozenset({"flatten", "reshape", "identity", "slice", "crop", "pad", "concat", "upsample"})
"""Ops whose results are the numbers of other layers."""
_VALUE, _GRADIENT = "value:", "gradient:"


@dataclass(frozen=True)
class Looks:
    """When to look: at the ``steps`` (counted from 1, as in `metrics.jsonl`), and at the last step of the ``epochs``
    (from 1). Without either: at the first step of all, and at the last one of each epoch.

    Raises ValueError for numbers below 1.
    """

    steps: tuple[int, ...] = ()
    epochs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(number < 1 for number in (*self.steps, *self.epochs)):
            raise ValueError(f"steps {self.steps} and epochs {self.epochs} are counted from 1")

    def wants(self, progress: Progress, steps_per_epoch: int) -> bool:
        """Whether to look at the step that comes next."""
        step, ends = progress.step + 1, progress.epoch_step + 1 == steps_per_epoch
        if not self.steps and not self.epochs:
            return step == 1 or ends
        return step in self.steps or (ends and progress.epoch + 1 in self.epochs)


class Inspector:
    """Looks at single steps of a recipe's training. Holds a second copy of the weights, and when it looks, all
    activations of a batch."""

    def __init__(self, recipe: Recipe, make: MakeExecutor, parameters: Mapping[str, Array], looks: Looks) -> None:
        self.looks = looks
        self._layers = _layers(recipe.graph, recipe.loss)
        graph, loss = recipe.for_steps()
        values = {_VALUE + node.name: graph.node(node.name).output for node in self._layers if _has_activations(node)}
        graph = gradient_graph(graph, loss, rule=recipe.rule, outputs=values, prefix=_GRADIENT)
        self._inputs = {node.name for node in graph.inputs}
        self._names = {node.name for node in graph.params}
        self._executor = make(graph, self._own(parameters), recipe.batch)

    def look(
        self, inputs: Mapping[str, Array], before: Mapping[str, Array], after: Mapping[str, Array]
    ) -> list[dict[str, Any]]:
        """What there is to say of each layer, in the order of the net: of a step with these ``inputs`` that took the
        parameters from ``before`` to ``after``."""
        self._executor.set_parameters(self._own(before))
        found = self._executor.step({name: array for name, array in inputs.items() if name in self._inputs})
        return [_described(node, found, before, after) for node in self._layers]

    def _own(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array for name, array in parameters.items() if name in self._names}


def dead(layers: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """(layer, dead units, all units) of the rectifiers with units that gave 0 for the whole batch."""
    seen = [(layer["layer"], layer["activation"]) for layer in layers if layer["activation"] is not None]
    return [(name, found["dead"], found["units"]) for name, found in seen if found.get("dead")]


def _layers(graph: Graph, loss: Value) -> list[Node]:
    """The layers on the way to the loss that have numbers of their own: parameters, or results that are no one
    else's."""
    on_the_way = {loss.node}
    for node in reversed(graph.nodes):
        if node in on_the_way:
            on_the_way.update(value.node for value in node.inputs)
    layers = [node for node in graph.nodes if node in on_the_way and node.op not in SOURCES]
    return [node for node in layers if _has_activations(node) or _own_parameters(node)]


def _has_activations(node: Node) -> bool:
    type = node.output.type
    return type.batched and type.dtype is DType.F32 and node.op not in _MOVES


def _own_parameters(node: Node) -> list[Value]:
    return [value for value in node.inputs if value.node.op == "param"]


def _described(
    node: Node, found: Mapping[str, Array], before: Mapping[str, Array], after: Mapping[str, Array]
) -> dict[str, Any]:
    parameters = [
        _parameter(value.node, found.get(_GRADIENT + value.node.name), before, after)
        for value in _own_parameters(node)
        if value.node.name in before
    ]
    values = found.get(_VALUE + node.name)
    activation = None if values is None else _activation(node, values)
    return {"layer": node.name, "op": node.op, "parameters": parameters, "activation": activation}


def _parameter(
    node: Node, gradient: Array | None, before: Mapping[str, Array], after: Mapping[str, Array]
) -> dict[str, Any]:
    """Weights before the step, the gradient of this batch's loss, and how far the step moved the weights: by the
    optimizer, or as running statistics move."""
    weights = before[node.name]
    spread = Spread.of(weights)
    moved = float(np.linalg.norm(after[node.name].astype(np.float64) - weights))
    return {
        "name": node.name,
        "shape": list(node.output.type.shape),
        "weight": spread.to_json(),
        "gradient": None if gradient is None else Spread.of(gradient).to_json(),
        "update": {
            "norm": moved if np.isfinite(moved) else None,
            "ratio": moved / spread.norm if spread.norm and np.isfinite(moved) else None,
        },
    }


def _activation(node: Node, values: Array) -> dict[str, Any]:
    found = Spread.of(values).to_json() | {"units": node.output.type.shape[0] if node.output.type.shape else 1}
    if node.op == RECTIFIER:
        units = values.reshape(values.shape[0], found["units"], -1)
        found["dead"] = int((~(units != 0).any(axis=(0, 2))).sum())
    return found
