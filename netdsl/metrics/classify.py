"""Counting right answers. Scores have the classes on axis 1; equal scores rank by class number, the
smaller first; a score that is not a number ranks last."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[Any]
Labels = NDArray[Any]


def correct_top_k(scores: Scores, labels: Labels, k: int = 1) -> int:
    """How many of N samples have their label among the ``k`` best: scores [N, C] or [N, C, 1, 1], labels [N]."""
    scores = _numbers(scores).reshape(len(scores), -1)
    mine = np.take_along_axis(scores, labels[:, None], axis=1)
    better = (scores > mine).sum(axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    tied = ((scores == mine) & earlier).sum(axis=1)
    return int((better + tied < k).sum())


def correct_pixels(scores: Scores, labels: Labels) -> int:
    """How many pixels are of their class: scores [N, C, H, W], labels [N, H, W]."""
    return int((_numbers(scores).argmax(axis=1) == labels).sum())


def confusion_matrix(scores: Scores, labels: Labels, classes: int, ignore: int | None = None) -> NDArray[np.int64]:
    """[classes, classes]: row is the true class, column the predicted one. Labels of ``ignore`` don't count."""
    predicted = _numbers(scores).argmax(axis=1).reshape(-1)
    cells = labels.reshape(-1).astype(np.int64) * classes + predicted
    cells = cells[labels.reshape(-1) != ignore] if ignore is not None else cells
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _numbers(scores: Scores) -> Scores:
    return np.where(np.isnan(scores), -np.inf, scores)
