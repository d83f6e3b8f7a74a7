"""Bilinear resampling with an antialiasing (triangle) filter, along columns and then rows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]


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


@lru_cache(maxsize=64)
def _taps(source: int, target: int) -> tuple[IntArray, Float32Array]:
    """The rows of `resize_matrix` without their zeros: places and weights [K, target]."""
    matrix = resize_matrix(source, target)
    first = (matrix > 0).argmax(axis=1)
    count = int((matrix > 0).sum(axis=1).max())
    places = first + np.arange(count)[:, None]
    inside = places < source
    places = np.where(inside, places, source - 1)
    weights = np.where(inside, matrix[np.arange(target), places], np.float32(0))
    return places, weights


def _along(image: Float32Array, axis: int, target: int) -> Float32Array:
    """Resample one of the last two axes. A sum over few taps in their order: a product of matrices would be shared
    out to threads of the library, which wait for each other when several workers resample at once."""
    places, weights = _taps(image.shape[axis], target)
    shape = (-1, 1) if axis == -2 else (-1,)
    total: Float32Array = np.take(image, places[0], axis=axis) * weights[0].reshape(shape)
    for place, weight in zip(places[1:], weights[1:], strict=True):
        total += np.take(image, place, axis=axis) * weight.reshape(shape)
    return total


def resize(image: Float32Array, height: int, width: int) -> Float32Array:
    """Resample [..., H, W] to [..., height, width]."""
    rows, columns = image.shape[-2:]
    if width != columns:
        image = _along(image, -1, width)
    if height != rows:
        image = _along(image, -2, height)
    return np.ascontiguousarray(image, dtype=np.float32)


def covering(rows: int, columns: int, height: int, width: int) -> tuple[int, int]:
    """The smallest size of the ratio of [rows, columns] that covers [height, width]."""
    scale = max(height / rows, width / columns)
    return max(height, round(rows * scale)), max(width, round(columns * scale))


def cover(image: Float32Array, height: int, width: int) -> Float32Array:
    """Resample keeping the aspect ratio until the target is covered, then cut out its centre."""
    scaled_rows, scaled_columns = covering(image.shape[-2], image.shape[-1], height, width)
    scaled = resize(image, scaled_rows, scaled_columns)
    top, left = (scaled_rows - height) // 2, (scaled_columns - width) // 2
    return np.ascontiguousarray(scaled[..., top : top + height, left : left + width])
