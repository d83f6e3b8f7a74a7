"""Random changes of the colours of training pictures, and of parts of them. Pictures [N, C, H, W] stay in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.data.augment import Words, below, both_ways, unit
from netdsl.data.base import Float32Array

LUMA = np.array([0.299, 0.587, 0.114])
"""Brightness of red, green and blue: ITU-R BT.601."""

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""Brightness and two differences of colours (FCC NTSC, 1953)."""

_SPREADS = np.array([0.2175, 0.0188, 0.0045])
_AXES = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
"""Principal components of the colours of ImageNet's training pictures in 0..1, as columns, and their deviations; the
values of Krizhevsky et al., NIPS 2012, section 4.1, as fb.resnet.torch published them."""


@dataclass(frozen=True)
class Brightness:
    """Times 1 - ``amount`` to 1 + ``amount``."""

    amount: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        return _in_range(images * _factor(self.amount, words))


@dataclass(frozen=True)
class Contrast:
    """The distance from the picture's mean brightness times 1 - ``amount`` to 1 + ``amount``."""

    amount: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        mean = _grey(images).mean(axis=(1, 2, 3), keepdims=True)
        return _in_range(mean + (images - mean) * _factor(self.amount, words))


@dataclass(frozen=True)
class Saturation:
    """The distance from grey times 1 - ``amount`` to 1 + ``amount``."""

    amount: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        grey = _grey(images)
        return _in_range(grey + (images - grey) * _factor(self.amount, words))


@dataclass(frozen=True)
class Hue:
    """Colours turned about grey by up to ``degrees`` each way, of equal brightness."""

    degrees: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        angle = np.deg2rad(self.degrees) * both_ways(words[:, 0])
        turn = np.tile(np.eye(3), (len(words), 1, 1))
        turn[:, 1, 1], turn[:, 1, 2] = np.cos(angle), -np.sin(angle)
        turn[:, 2, 1], turn[:, 2, 2] = np.sin(angle), np.cos(angle)
        return _in_range(_mixed(images, np.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ))


@dataclass(frozen=True)
class PcaNoise:
    """Along each principal component of colours, its deviation times a normal number of deviation ``sigma``."""

    sigma: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        added = (self.sigma * _normal(words) * _SPREADS) @ _AXES.T
        return _in_range(images + added.astype(np.float32)[:, :, None, None])


@dataclass(frozen=True)
class Cutout:
    """A square of ``pixels`` a side, centred anywhere, that shows ``value`` a channel (DeVries and Taylor, arXiv
    1708.04552). Classes of pixels and boxes stay."""

    pixels: int
    value: tuple[float, ...]

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        height, width = images.shape[2:]
        top = below(words[:, 0], height) - self.pixels // 2
        left = below(words[:, 1], width) - self.pixels // 2
        rows, columns = np.arange(height) - top[:, None], np.arange(width) - left[:, None]
        down, across = (rows >= 0) & (rows < self.pixels), (columns >= 0) & (columns < self.pixels)
        hidden = down[:, None, :, None] & across[:, None, None, :]
        return np.where(hidden, np.array(self.value, dtype=np.float32).reshape(-1, 1, 1), images)


def _factor(amount: float, words: Words) -> Float32Array:
    return np.asarray(1 + amount * both_ways(words[:, 0]), dtype=np.float32)[:, None, None, None]


def _grey(images: Float32Array) -> Float32Array:
    """[N, 1, H, W]."""
    if images.shape[1] != 3:
        return np.asarray(images.mean(axis=1, keepdims=True), dtype=np.float32)
    red, green, blue = (images[:, i : i + 1] * np.float32(LUMA[i]) for i in range(3))
    return np.asarray(red + green + blue, dtype=np.float32)


def _mixed(images: Float32Array, matrices: NDArray[np.float64]) -> Float32Array:
    """Channels mixed by [N, 3, 3], summed in a fixed order."""
    m = matrices.astype(np.float32)[:, :, :, None, None]
    return np.asarray(sum(m[:, :, i] * images[:, i : i + 1] for i in range(3)), dtype=np.float32)


def _normal(words: Words) -> NDArray[np.float64]:
    """[N, 3] normal numbers (Box and Muller, 1958)."""
    radius = np.sqrt(-2 * np.log(1 - unit(words[:, [0, 0, 2]])))
    angle = 2 * np.pi * unit(words[:, [1, 1, 3]])
    return np.asarray(radius * np.stack([np.cos(angle[:, 0]), np.sin(angle[:, 1]), np.cos(angle[:, 2])], axis=1))


def _in_range(images: Float32Array) -> Float32Array:
    return np.asarray(np.clip(images, 0, 1), dtype=np.float32)
