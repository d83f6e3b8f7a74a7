"""Measuring several networks, and several looks at each picture, by the mean of their probabilities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import Data
from netdsl.data.batches import evaluation_batches
from netdsl.data.prepare import Preparation, Prepared
from netdsl.data.views import margin_for, views
from netdsl.diagnostics import Code, UserError
from netdsl.metrics import confusion_matrix, probabilities
from netdsl.train.evaluate import MakeExecutor, added_up, measure
from netdsl.train.ranks import ONE, Ranks, sequence_of
from netdsl.train.recipe import Recipe
from netdsl.train.split_loss import split_loss

Array = NDArray[Any]


@dataclass(frozen=True)
class Member:
    """One network's weights, and how pictures become its inputs."""

    parameters: Mapping[str, Array]
    preparation: Preparation


class Together:
    """Networks of one recipe that vote: for every sample the mean, over members and looks, of the probabilities of
    the scores that each ranking metric compares. A loss has no such mean and is left out. Several ``ranks`` take the
    batches in turn."""

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        members: Sequence[Member],
        make: MakeExecutor,
        *,
        crops: int = 1,
        ranks: Ranks = ONE,
    ) -> None:
        self._ranks = ranks
        self._metrics = [metric for metric in recipe.metrics if metric.kind != "mean"]
        if not self._metrics:
            raise UserError.of(
                Code.TRAIN_SETTING, "several networks or looks are measured by metrics that rank classes; there is none"
            )
        if crops > 1 and any(metric.kind == "pixel_accuracy" for metric in self._metrics):
            raise UserError.of(
                Code.TRAIN_SETTING, "windows of a picture don't score all of its pixels: leave out --crops"
            )
        self._recipe, self._data = recipe, data
        self._views = views(crops)
        split = split_loss(recipe.graph, {}, dict.fromkeys(metric.value for metric in self._metrics))
        self._names = split.scores
        self._batch = min(recipe.batch, len(data.test))
        wanted = {node.name for node in split.forward.params}
        self._members = [
            (
                make(split.forward, {n: a for n, a in member.parameters.items() if n in wanted}, self._batch),
                _enlarged(member.preparation, crops),
            )
            for member in members
        ]

    def run(self, confusion: Array | None = None) -> dict[str, float]:
        """Every ranking metric by name; the first one's answers are counted into ``confusion``, [classes, classes]."""
        rows: list[list[float]] = []
        kinds = self._recipe.kinds()
        whole = [Prepared(self._data.test, preparation) for _, preparation in self._members]
        turn = self._ranks.number, self._ranks.count
        batches = [
            evaluation_batches(prepared, self._batch, self._recipe.wanted(), whole=True, turn=turn)
            for prepared in whole
        ]
        for looks in zip(*batches, strict=True):
            scores = self._scores([batch.images for batch in looks])
            count, row = looks[0].count, list[float]()
            for metric in self._metrics:
                kind = kinds[metric.target]
                assert kind is not None, "fit_data.check_targets refuses targets that no data have"
                found, labels = scores[metric.name][:count], looks[0].values[kind][:count]
                row += measure(metric, found, labels)
                if confusion is not None and metric is self._metrics[0]:
                    confusion += confusion_matrix(found, labels, len(confusion), metric.ignore)
            rows.append(row)
        if confusion is not None:
            texts = self._ranks.texts(json.dumps(confusion.tolist()))
            confusion[...] = sum(np.array(json.loads(text), np.int64) for text in texts)
        names = [metric.name for metric in self._metrics]
        means = added_up(names, self._ranks.in_order(sequence_of(rows, 2 * len(names))))
        return {name: mean.value for name, mean in means.items()}

    def _scores(self, images: Sequence[Array]) -> dict[str, Array]:
        """Mean probabilities for each metric, summed in the order of members and looks."""
        sums: dict[str, Array] = {}
        image_input = self._recipe.image_input()[0]
        for (executor, preparation), pictures in zip(self._members, images, strict=True):
            for view in self._views:
                window = view.of(pictures, preparation.height, preparation.width)
                outputs = executor.step({image_input: window})
                for metric in self._metrics:
                    found = probabilities(outputs[self._names[metric.value]], metric.value.node.op)
                    sums[metric.name] = sums[metric.name] + found if metric.name in sums else found
        return {name: total / (len(self._members) * len(self._views)) for name, total in sums.items()}


def _enlarged(preparation: Preparation, crops: int) -> Preparation:
    """With the margin that the looks need."""
    return replace(preparation, margin=margin_for(crops, preparation.height, preparation.margin))
