"""What a net answered for each sample of a test set: how often which class was taken for which, and its mistakes."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import Data
from netdsl.data.targets import class_names
from netdsl.metrics import confusion_matrix, probabilities
from netdsl.train.ranks import Ranks
from netdsl.train.recipe import Metric, Recipe


@dataclass(frozen=True)
class Mistake:
    """Test sample ``index`` is of class ``true`` and was taken for ``taken``, with this probability."""

    index: int
    true: int
    taken: int
    probability: float


@dataclass
class Answers:
    """``confusion`` [classes, classes] counts true class by predicted class, of samples or of pixels; ``mistakes`` are
    of samples only."""

    names: tuple[str, ...]
    confusion: NDArray[np.int64]
    mistakes: list[Mistake] = field(default_factory=list)
    _seen: int = 0

    def add(self, metric: Metric, scores: NDArray[Any], labels: NDArray[Any], first: int | None = None) -> None:
        """A batch's scores [N, C, ...] and labels [N, ...], of the samples from number ``first`` on; without it of
        those behind the batch before."""
        first = self._seen if first is None else first
        self.confusion += confusion_matrix(scores, labels, len(self.names), metric.ignore)
        if metric.kind != "top":
            return
        found = probabilities(scores, metric.value.node.op).reshape(len(labels), -1)
        taken = found.argmax(axis=1)
        for place in np.flatnonzero(taken != labels).tolist():
            probability = float(found[place, taken[place]])
            self.mistakes.append(Mistake(first + place, int(labels[place]), int(taken[place]), probability))
        self._seen = first + len(labels)

    def join(self, ranks: Ranks) -> None:
        """Take in what all ranks have seen."""
        mine = {"confusion": self.confusion.tolist(), "mistakes": [list(astuple(one)) for one in self.mistakes]}
        found = [json.loads(text) for text in ranks.texts(json.dumps(mine))]
        self.confusion[...] = sum(np.array(one["confusion"], np.int64) for one in found)
        mistakes = [Mistake(*values) for one in found for values in one["mistakes"]]
        self.mistakes[:] = sorted(mistakes, key=lambda mistake: mistake.index)

    def worst(self, count: int) -> list[Mistake]:
        """The mistakes that were made with the greatest confidence."""
        return sorted(self.mistakes, key=lambda mistake: (-mistake.probability, mistake.index))[:count]


def no_answers(recipe: Recipe, data: Data) -> Answers | None:
    """Answers to be filled; None where the first metric does not rank classes."""
    names = ranked_names(recipe, data)
    return Answers(names, np.zeros((len(names), len(names)), dtype=np.int64)) if names else None


def ranked_names(recipe: Recipe, data: Data) -> tuple[str, ...]:
    """The classes that the first metric ranks; none if it ranks none."""
    if not recipe.metrics or recipe.metrics[0].kind == "mean":
        return ()
    kind = recipe.kinds()[recipe.metrics[0].target]
    assert kind is not None, "fit_data.check_targets refuses targets that no data have"
    return class_names(data, kind)
