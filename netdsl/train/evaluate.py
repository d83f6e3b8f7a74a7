"""Measuring a net on a test set: mean loss and metrics, each sample counted exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data.batches import Batch, evaluation_batches
from netdsl.data.prepare import Prepared
from netdsl.diagnostics import Code, NumericFailure
from netdsl.ir.graph import Graph
from netdsl.metrics import Mean, correct_pixels, correct_top_k
from netdsl.plan.executor import Executor
from netdsl.reference import Interpreter
from netdsl.train.ranks import ONE, Ranks, sequence_of
from netdsl.train.recipe import Metric, Recipe
from netdsl.train.split_loss import split_loss

if TYPE_CHECKING:
    from netdsl.train.answers import Answers

Array = NDArray[Any]
MakeExecutor = Callable[[Graph, Mapping[str, Array], int], Executor]
"""Compiles an inference graph: (graph, parameters, batch) -> Executor."""


class Evaluator:
    """Runs the forward part on a backend, and the loss and metrics in float64 with NumPy.

    Several ``ranks`` take the batches in turn, and all have the results of all.
    """

    def __init__(
        self,
        recipe: Recipe,
        prepared: Prepared,
        make: MakeExecutor,
        parameters: Mapping[str, Array],
        ranks: Ranks = ONE,
    ) -> None:
        self._ranks = ranks
        self._recipe, self._prepared = recipe, prepared
        self._counted = [metric for metric in recipe.metrics if metric.kind != "mean"]
        losses = {metric.name: metric.value for metric in recipe.metrics if metric.kind == "mean"}
        wanted = dict.fromkeys(metric.value for metric in self._counted)
        self._split = split_loss(recipe.graph, {"loss": recipe.loss, **losses}, wanted)
        self._tail = Interpreter(self._split.tail)
        self._batch = min(-(-recipe.batch // ranks.count), len(prepared))  # the same for all ranks
        self._forward_names = {node.name for node in self._split.forward.params}
        self._executor = make(self._split.forward, self._of_forward(parameters), self._batch)

    def run(self, parameters: Mapping[str, Array], answers: Answers | None = None) -> dict[str, float]:
        """``loss`` and every metric by name. The first ranking metric's scores are collected in ``answers``.
        Raises NumericFailure when the loss is not finite."""
        self._executor.set_parameters(self._of_forward(parameters))
        names = ("loss", *(metric.name for metric in self._recipe.metrics))
        found: list[list[float]] = []
        turn = self._ranks.number, self._ranks.count
        batches = evaluation_batches(self._prepared, self._batch, self._recipe.wanted(), turn=turn)
        for number, batch in enumerate(batches):
            values = self._forward(batch)
            added: dict[str, tuple[float, float]] = {}
            for name, loss in self._tail.run(values, parameters).outputs.items():
                added[name] = float(loss) * batch.count, batch.count
            for metric in self._counted:
                scores, labels = values[self._split.scores[metric.value]], values[metric.target]
                added[metric.name] = measure(metric, scores, labels)
                if answers is not None and metric is self._counted[0]:
                    answers.add(metric, scores, labels, (turn[0] + number * turn[1]) * self._batch)
            found.append([amount for name in names for amount in added[name]])
        if answers is not None:
            answers.join(self._ranks)
        means = added_up(names, self._ranks.in_order(sequence_of(found, 2 * len(names))))
        if not np.isfinite(means["loss"].value):
            raise NumericFailure.of(Code.NOT_FINITE, f"the loss on the test set is {means['loss'].value}")
        return {name: mean.value for name, mean in means.items()}

    def _forward(self, batch: Batch) -> dict[str, Array]:
        """Outputs of the forward part and all inputs, without the samples that fill the batch."""
        inputs = feed(self._recipe, batch)
        needed = {node.name for node in self._split.forward.inputs}
        outputs = self._executor.step({name: array for name, array in inputs.items() if name in needed})
        return {name: array[: batch.count] for name, array in {**inputs, **outputs}.items()}

    def _of_forward(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        return {name: array for name, array in parameters.items() if name in self._forward_names}


def added_up(names: Sequence[str], rows: Array) -> dict[str, Mean]:
    """The mean of each name, from rows of sums and counts, two numbers for each."""
    means = {name: Mean() for name in names}
    for row in rows:
        for index, mean in enumerate(means.values()):
            mean.add(float(row[2 * index]), int(row[2 * index + 1]))
    return means


def feed(recipe: Recipe, batch: Batch) -> dict[str, Array]:
    """A batch as the graph's inputs: pictures, and the targets; of mixed samples, shares of classes."""
    inputs: dict[str, Array] = {recipe.image_input()[0]: batch.images}
    for name, kind in recipe.kinds().items():
        assert kind is not None, "fit_data.check_targets refuses targets that no data have"
        if batch.mixed is not None and name in recipe.soft:
            inputs[name] = batch.shares(kind, recipe.share_types[name].shape[0])
            continue
        inputs[name] = batch.values[kind].astype(np.float32 if kind == "box" else np.int32)
    return inputs


def step_inputs(recipe: Recipe, batch: Batch, rate: float, step: int, seed: int) -> dict[str, Array]:
    """All inputs of training step ``step`` (from 0)."""
    return feed(recipe, batch) | {
        "lr": np.asarray(rate, dtype=np.float32),
        "step": np.asarray(step & 0x7FFFFFFF, dtype=np.int32),
        "seed": np.asarray(seed & 0x7FFFFFFF, dtype=np.int32),
    }


def measure(metric: Metric, scores: Array, labels: Array) -> tuple[float, int]:
    """What to add to a metric's mean: how many are right, of how many."""
    if metric.kind == "pixel_accuracy":
        return correct_pixels(scores, labels), int((labels != metric.ignore).sum())
    return correct_top_k(scores, labels, metric.k), len(labels)


def primary(metrics: Sequence[Metric], test: Mapping[str, float]) -> float:
    """What `best` is chosen by, larger being better: the first metric, or else the loss (negated)."""
    if metrics and metrics[0].kind != "mean":
        return test[metrics[0].name]
    return -test[metrics[0].name if metrics else "loss"]
