"""Bilinear resampling with an antialiasing (triangle) filter, as matrices applied to rows and columns."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


@lru_cache(maxsize=64)
def resize_matrix(source: int, target: int) -> Float32Array:
    """The [target, source] matrix that resamples one axis.

    Pixel centres are at half-integers. Enlarging interpolates linearly between the two nearest centres;
    shrinking widens the triangle by the ratio, so every source pixel counts. Rows sum to 1 (at the edges
    the weights inside the picture are rescaled).
    """
    ratio = source / target
    support = max(ratio, 1.0)
    centres = (np.arange(target) + 0.5) * ratio
    distance = np.abs(np.arange(source)[None, :] + 0.5 - centres[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = weights.astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def resize(image: Float32Array, height: int, width: int) -> Float32Array:
    """Resample [..., H, W] to [..., height, width]."""
    rows, columns = image.shape[-2:]
    if width != columns:
        image = image @ resize_matrix(columns, width).T
    if height != rows:
        image = resize_matrix(rows, height) @ image
    return np.ascontiguousarray(image, dtype=np.float32)


def cover(image: Float32Array, height: int, width: int) -> Float32Array:
    """Resample keeping the aspect ratio until the target is covered, then cut out its centre."""
    rows, columns = image.shape[-2:]
    scale = max(height / rows, width / columns)
    scaled_rows = max(height, round(rows * scale))
    scaled_columns = max(width, round(columns * scale))
    scaled = resize(image, scaled_rows, scaled_columns)
    top, left = (scaled_rows - height) // 2, (scaled_columns - width) // 2
    return np.ascontiguousarray(scaled[..., top : top + height, left : left + width])
