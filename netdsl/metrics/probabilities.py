"""What scores say of each class, whatever gave them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Code, NumericFailure


def probabilities(scores: NDArray[Any], op: str) -> NDArray[np.float64]:
    """Probabilities [N, C, ...] from what ``op`` gave: a softmax as it is, a log_softmax exponentiated, and anything
    else (logits) through a softmax. Raises NumericFailure."""
    values = scores.astype(np.float64)
    if not np.isfinite(values).all() and op != "log_softmax":
        raise NumericFailure.of(Code.NOT_FINITE, "the network's scores are not finite numbers")
    if op == "softmax":
        return values
    if op == "log_softmax":
        return np.exp(values)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
