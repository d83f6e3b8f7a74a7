"""How the numbers of an array are spread: what an inspection says of weights, gradients and activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Of which quantiles are told."""
BINS = 40
_TAIL = 0.005
"""The share at each end that the outermost bins hold, however far out it lies."""
_MOST = 1 << 20
_STRIDE = 2_654_435_761  # a prime beyond any size here, so that no element is taken twice


@dataclass(frozen=True)
class Histogram:
    """Equal bins from ``low`` to ``high`` (half a percent of the numbers lie below, half a percent above: the
    outermost bins count those too). Zeros are left out: `Spread.zeros` has them."""

    low: float
    high: float
    counts: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "counts": list(self.counts)}


@dataclass(frozen=True)
class Spread:
    """Of ``count`` numbers: ``norm`` (Euclidean), ``mean``, ``deviation``, the ``zeros`` as a share of 1, all over the
    finite ones; how many are ``not_finite``; ``quantiles`` for `SHARES` and the ``histogram``, which beyond 2^20
    numbers go by as many of them, evenly chosen. Of no finite number quantiles and histogram are None."""

    count: int
    not_finite: int
    norm: float
    mean: float
    deviation: float
    zeros: float
    quantiles: tuple[float, ...] | None
    histogram: Histogram | None

    @staticmethod
    def of(array: NDArray[Any]) -> Spread:
        flat = np.asarray(array, dtype=np.float32).reshape(-1)
        found = flat[np.isfinite(flat)]
        lost = flat.size - found.size
        if not found.size:
            return Spread(flat.size, lost, 0.0, 0.0, 0.0, 0.0, None, None)
        mean = float(found.mean(dtype=np.float64))
        squares = float(np.sum(np.square(found, dtype=np.float64)))
        chosen = _chosen(found)
        quantiles = np.quantile(chosen, SHARES)
        quantiles[0], quantiles[-1] = found.min(), found.max()
        return Spread(
            count=flat.size,
            not_finite=lost,
            norm=squares**0.5,
            mean=mean,
            deviation=float(found.std(dtype=np.float64)),
            zeros=1 - np.count_nonzero(found) / found.size,
            quantiles=tuple(map(float, quantiles)),
            histogram=_histogram(chosen),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "not_finite": self.not_finite,
            "norm": self.norm,
            "mean": self.mean,
            "deviation": self.deviation,
            "zeros": self.zeros,
            "quantiles": None if self.quantiles is None else list(self.quantiles),
            "histogram": None if self.histogram is None else self.histogram.to_json(),
        }


def _chosen(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """All, or 2^20 of them that follow no row or channel."""
    if found.size <= _MOST:
        return found
    places = np.arange(_MOST, dtype=np.uint64) * np.uint64(_STRIDE) % np.uint64(found.size)
    chosen: NDArray[np.float32] = found[places]
    return chosen


def _histogram(values: NDArray[np.float32]) -> Histogram | None:
    values = values[values != 0]
    if not values.size:
        return None
    low, high = map(float, np.quantile(values, (_TAIL, 1 - _TAIL)))
    if not low < high:  # (nearly all are one number: a bin for it in the middle)
        wide = max(abs(low) * 1e-3, float(np.finfo(np.float32).tiny))
        low, high = low - wide, high + wide
    places = (values.astype(np.float64) - low) * (BINS / (high - low))
    counts = np.bincount(np.clip(places, 0, BINS - 1).astype(np.int64), minlength=BINS)
    return Histogram(low, high, tuple(counts.tolist()))
