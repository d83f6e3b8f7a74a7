"""Mixing training samples two by two (Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization",
ICLR 2018): ``x = s * x1 + (1 - s) * x2``, and likewise what is to be learned, with s of a Beta(alpha, alpha)
distribution.

Each sample has its own share and its own partner, any sample of the split, so that a mixture is a function of seed,
epoch and sample alone, and not of the batch that it is in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.data.augment import Words, below, unit
from netdsl.data.base import Float32Array, IntArray


@dataclass(frozen=True)
class Mixup:
    alpha: float

    def shares(self, words: Words) -> Float32Array:
        """The shares [N] of the samples' own.

        A Beta(a, a) number is ``1/2 + 1/2 c / sqrt(1 / (u^(-1/a) - 1) + c^2)``, u uniform and c the cosine of a uniform
        angle (Ulrich, "Computer generation of distributions on the m-sphere", Applied Statistics 1984; Devroye,
        "Non-uniform random variate generation", 1986, section IX.3).
        """
        cosine = np.cos(2 * np.pi * unit(words[:, 1]))
        with np.errstate(over="ignore", divide="ignore"):  # (infinite where a share is 0 or 1, or just a half)
            spread = np.expm1(-np.log1p(-unit(words[:, 0])) / self.alpha)
            share = 0.5 + 0.5 * cosine / np.sqrt(1 / spread + cosine**2)
        shares: Float32Array = share.astype(np.float32)
        return shares

    def partners(self, words: Words, count: int) -> IntArray:
        """The samples [N] that come in, any of ``count``."""
        return below(words[:, 2], count)


def mixture(mine: Float32Array, others: Float32Array, share: NDArray[np.float32]) -> Float32Array:
    """``share`` [N] of ``mine`` [N, ...], the rest of ``others``."""
    weight = share.reshape(-1, *([1] * (mine.ndim - 1)))
    mixed: Float32Array = weight * mine + (1 - weight) * others
    return mixed
