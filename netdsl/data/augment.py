"""Random changes of training pictures. Each is a pure function of the pictures and of four random words a
sample, so a sample looks the same whatever batch or thread it is prepared in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netdsl.data import counter
from netdsl.data.base import Float32Array

Words = NDArray[np.uint32]


class Augmentation(Protocol):
    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        """Change [N, C, H, W] in 0..1, by the random words [N, 4]."""
        ...


@dataclass(frozen=True)
class Crop:
    """A random window of [height, width], as AlexNet does. Before: pictures with a margin; after: none."""

    height: int
    width: int

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        top = _below(words[:, 0], images.shape[2] - self.height + 1)
        left = _below(words[:, 1], images.shape[3] - self.width + 1)
        return _windows(images, top, left, self.height, self.width)


@dataclass(frozen=True)
class Shift:
    """Move by up to ``pixels`` each way, in whole pixels of the network's input; zeros (black) move in."""

    pixels: int

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        p = self.pixels
        padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)))
        top, left = _below(words[:, 0], 2 * p + 1), _below(words[:, 1], 2 * p + 1)
        return _windows(padded, top, left, *images.shape[2:])


@dataclass(frozen=True)
class Flip:
    """Mirror left and right, for every second sample on average."""

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        mirrored = words[:, 0] >> np.uint32(31) == 1
        return np.where(mirrored[:, None, None, None], images[..., ::-1], images)


@dataclass(frozen=True)
class Rotate:
    """Turn about the centre by up to ``degrees`` each way, bilinearly; zeros (black) turn in."""

    degrees: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        share = words[:, 0].astype(np.float64) / 2.0**31 - 1.0
        angle = np.deg2rad(self.degrees) * share[:, None, None]
        height, width = images.shape[2:]
        y, x = np.mgrid[:height, :width].astype(np.float64)
        y, x = y - (height - 1) / 2, x - (width - 1) / 2
        rows = np.sin(angle) * x + np.cos(angle) * y + (height - 1) / 2
        columns = np.cos(angle) * x - np.sin(angle) * y + (width - 1) / 2
        return _sample(images, rows, columns)


def augment(
    images: Float32Array,
    augmentations: Sequence[Augmentation],
    *,
    seed: int,
    epoch: int,
    samples: NDArray[Any],
) -> Float32Array:
    """Apply all in order; the numbers are keyed by (seed, epoch, sample, place in the list)."""
    for stream, change in enumerate(augmentations):
        images = change(images, counter.words(seed, epoch, samples, stream))
    return images


def _below(words: NDArray[np.uint32], count: int) -> NDArray[np.int64]:
    """Whole numbers 0..count-1, uniform to within count / 2^32."""
    return ((words.astype(np.uint64) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)


def _windows(
    images: Float32Array, top: NDArray[np.int64], left: NDArray[np.int64], height: int, width: int
) -> Float32Array:
    samples = np.arange(len(images))[:, None, None]
    rows = (top[:, None] + np.arange(height))[:, :, None]
    columns = (left[:, None] + np.arange(width))[:, None, :]
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)[samples, rows, columns].transpose(0, 3, 1, 2))


def _sample(images: Float32Array, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Float32Array:
    """Bilinear values of [N, C, H, W] at places [N, H', W'], with zeros around the picture."""
    count, channels, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    rows, columns = np.clip(rows + 1, 0, height + 1), np.clip(columns + 1, 0, width + 1)
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    down, right = (rows - top).astype(np.float32)[:, None], (columns - left).astype(np.float32)[:, None]
    line, plane = width + 3, (height + 3) * (width + 3)
    corner = (top * line + left)[:, None] + np.arange(count * channels).reshape(count, channels, 1, 1) * plane
    flat = padded.reshape(-1)
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[corner + line] * (1 - right) + flat[corner + line + 1] * right
    values: Float32Array = upper * (1 - down) + lower * down
    return values
