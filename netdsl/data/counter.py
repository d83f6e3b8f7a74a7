"""Random numbers as a pure function of a counter: Philox4x32-10, vectorized over samples.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A number
depends only on (seed, epoch, sample, stream), so neither threads, batch size nor order can change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_ROUNDS = 10

SHUFFLE_STREAM, MIXUP_STREAM = 0xFFFFFFFF, 0xFFFFFFFE
"""Augmentations count their streams from 0, so these are never theirs."""


def philox(counter: NDArray[Any], key: int) -> NDArray[np.uint32]:
    """Philox4x32-10: ``counter`` is [..., 4] of 32-bit words, ``key`` 64 bits; returns [..., 4] words."""
    words = [counter[..., i].astype(np.uint64) & _LOW for i in range(4)]
    keys = [key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF]
    for _ in range(_ROUNDS):
        product0 = _MULTIPLIERS[0] * words[0]
        product1 = _MULTIPLIERS[1] * words[2]
        words = [
            (product1 >> _SHIFT) ^ words[1] ^ np.uint64(keys[0]),
            product1 & _LOW,
            (product0 >> _SHIFT) ^ words[3] ^ np.uint64(keys[1]),
            product0 & _LOW,
        ]
        keys = [(k + w) & 0xFFFFFFFF for k, w in zip(keys, _WEYL, strict=True)]
    return np.stack(words, axis=-1).astype(np.uint32)


def words(seed: int, epoch: int, samples: ArrayLike, stream: int) -> NDArray[np.uint32]:
    """Four independent 32-bit words a sample, as [N, 4]; ``samples`` are sample numbers, [N]."""
    samples = np.asarray(samples, dtype=np.uint64)
    counter = np.empty((*samples.shape, 4), dtype=np.uint64)
    counter[..., 0] = samples & _LOW
    counter[..., 1] = samples >> _SHIFT
    counter[..., 2] = np.uint64(epoch & 0xFFFFFFFF)
    counter[..., 3] = np.uint64(stream & 0xFFFFFFFF)
    return philox(counter, seed & 0xFFFFFFFFFFFFFFFF)


def permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits ``count`` samples: sorted by 64 random bits a sample."""
    bits = words(seed, epoch, np.arange(count), SHUFFLE_STREAM).astype(np.uint64)
    return np.argsort((bits[:, 0] << _SHIFT) | bits[:, 1], kind="stable").astype(np.int64)
