"""Measures of how good predictions are, summed over batches of any size."""

from __future__ import annotations

from netdsl.metrics.classify import confusion_matrix, correct_pixels, correct_top_k
from netdsl.metrics.mean import Mean
from netdsl.metrics.probabilities import probabilities

__all__ = ["Mean", "confusion_matrix", "correct_pixels", "correct_top_k", "probabilities"]
