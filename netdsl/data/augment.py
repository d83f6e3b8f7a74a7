"""Random changes that move what is in training pictures. Each is a pure function of the pictures and of four random
words a sample, so a sample looks the same whatever batch or thread it is prepared in.

A change is a map of places, one a sample; pictures follow it bilinearly (whole pixels exactly), classes of pixels by
the nearest one, boxes by their corners. Changes of colours: :mod:`netdsl.data.colour`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from netdsl.data import counter
from netdsl.data.base import Float32Array, IntArray
from netdsl.data.places import Objects, Places

Words = NDArray[np.uint32]
Floats = NDArray[np.float64]


class Augmentation(Protocol):
    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        """Change [N, C, H, W] in 0..1, by the random words [N, 4]."""
        ...


@runtime_checkable
class Moving(Augmentation, Protocol):
    """A change that classes of pixels, and boxes, have to follow."""

    def places(self, words: Words, height: int, width: int) -> Places:
        """Where the pixels of the changed pictures come from; pictures were [N, C, height, width]."""
        ...


@dataclass(frozen=True)
class Samples:
    """A batch on its way: ``images`` [N, C, H, W], where wanted the class of each pixel [N, H, W] and the things
    of each picture. ``void`` is the class of what comes in from outside of a picture."""

    images: Float32Array
    pixels: IntArray | None = None
    objects: tuple[Objects, ...] | None = None
    void: int = 0


def augment(
    samples: Samples, augmentations: Sequence[Augmentation], *, seed: int, epoch: int, numbers: NDArray[Any]
) -> Samples:
    """Apply all in order to the samples ``numbers``; the random words are keyed by (seed, epoch, sample, place in
    the list)."""
    images, pixels, objects = samples.images, samples.pixels, samples.objects
    for stream, change in enumerate(augmentations):
        words = counter.words(seed, epoch, numbers, stream)
        if isinstance(change, Moving) and (pixels is not None or objects is not None):
            places = change.places(words, *images.shape[2:])
            pixels = None if pixels is None else places.nearest(pixels, samples.void)
            objects = None if objects is None else places.moved(objects)
        images = change(images, words)
    return Samples(images, pixels, objects, samples.void)


@dataclass(frozen=True)
class Crop:
    """A random window of [height, width], as AlexNet does. Before: pictures with a margin; after: none."""

    height: int
    width: int

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        top, left = self._corner(words, *images.shape[2:])
        return _windows(images, top, left, self.height, self.width)

    def places(self, words: Words, height: int, width: int) -> Places:
        return Places.shifted(*self._corner(words, height, width), self.height, self.width)

    def _corner(self, words: Words, height: int, width: int) -> tuple[IntArray, IntArray]:
        return below(words[:, 0], height - self.height + 1), below(words[:, 1], width - self.width + 1)


@dataclass(frozen=True)
class ResizedCrop:
    """A window of ``area`` to all of the picture and with sides of ``ratio`` to 1 / ``ratio``, brought to [height,
    width], as GoogLeNet does (Szegedy et al., CVPR 2015, section 6)."""

    height: int
    width: int
    area: float
    ratio: float

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        return self.places(words, *images.shape[2:]).bilinear(images)

    def places(self, words: Words, height: int, width: int) -> Places:
        share = self.area + (1 - self.area) * unit(words[:, 0])
        ratio = self.ratio ** (2 * unit(words[:, 1]) - 1)
        rows = np.minimum(height, height * np.sqrt(share / ratio))
        columns = np.minimum(width, width * np.sqrt(share * ratio))
        top, left = (height - rows) * unit(words[:, 2]), (width - columns) * unit(words[:, 3])
        down, right = rows / self.height, columns / self.width
        matrix = np.zeros((len(words), 2, 3))
        matrix[:, 0, 0], matrix[:, 0, 2] = down, top + down / 2 - 0.5
        matrix[:, 1, 1], matrix[:, 1, 2] = right, left + right / 2 - 0.5
        return Places(matrix, self.height, self.width, repeat_edges=True)


@dataclass(frozen=True)
class Shift:
    """Move by up to ``pixels`` each way, in whole pixels of the network's input; zeros (black) move in."""

    pixels: int

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        p = self.pixels
        padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)))
        top, left = below(words[:, 0], 2 * p + 1), below(words[:, 1], 2 * p + 1)
        return _windows(padded, top, left, *images.shape[2:])

    def places(self, words: Words, height: int, width: int) -> Places:
        p = self.pixels
        top, left = below(words[:, 0], 2 * p + 1) - p, below(words[:, 1], 2 * p + 1) - p
        return Places.shifted(top, left, height, width)


@dataclass(frozen=True)
class Flip:
    """Mirror left and right, for every second sample on average."""

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        return np.where(_chosen(words)[:, None, None, None], images[..., ::-1], images)

    def places(self, words: Words, height: int, width: int) -> Places:
        matrix = np.tile(np.eye(2, 3), (len(words), 1, 1))
        mirrored = _chosen(words)
        matrix[mirrored, 1, 1], matrix[mirrored, 1, 2] = -1, width - 1
        return Places(matrix, height, width)


class _AboutTheCentre:
    """Turned, scaled or sheared about the centre; zeros (black) come in."""

    def linear(self, words: Words) -> tuple[Floats, Floats, Floats, Floats]:
        """Of an offset (down, right) from the centre, [N] each: row from down, row from right, column from down,
        column from right."""
        raise NotImplementedError

    def __call__(self, images: Float32Array, words: Words) -> Float32Array:
        return self.places(words, *images.shape[2:]).bilinear(images)

    def places(self, words: Words, height: int, width: int) -> Places:
        matrix = np.empty((len(words), 2, 3))
        matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = self.linear(words)
        centre = np.array([(height - 1) / 2, (width - 1) / 2])
        matrix[:, :, 2] = centre - matrix[:, :, :2] @ centre
        return Places(matrix, height, width)


@dataclass(frozen=True)
class Rotate(_AboutTheCentre):
    """Turn by up to ``degrees`` each way."""

    degrees: float

    def linear(self, words: Words) -> tuple[Floats, Floats, Floats, Floats]:
        angle = np.deg2rad(self.degrees) * both_ways(words[:, 0])
        return np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)


@dataclass(frozen=True)
class Scale(_AboutTheCentre):
    """Larger or smaller by up to ``factor``, which is at least 1; as often one as the other."""

    factor: float

    def linear(self, words: Words) -> tuple[Floats, Floats, Floats, Floats]:
        inverse = self.factor ** -both_ways(words[:, 0])
        zero = np.zeros(len(words))
        return inverse, zero, zero, inverse


@dataclass(frozen=True)
class Shear(_AboutTheCentre):
    """Slant by up to ``degrees`` each way: rows move against each other, and columns likewise."""

    degrees: float

    def linear(self, words: Words) -> tuple[Floats, Floats, Floats, Floats]:
        slope = np.tan(np.deg2rad(self.degrees) * both_ways(words[:, 0]))
        lengthwise = words[:, 1] >> np.uint32(31) == 1
        one = np.ones(len(words))
        return one, np.where(lengthwise, slope, 0.0), np.where(lengthwise, 0.0, slope), one


def below(words: NDArray[np.uint32], count: int) -> IntArray:
    """Whole numbers 0..count-1, uniform to within count / 2^32."""
    return ((words.astype(np.uint64) * np.uint64(count)) >> np.uint64(32)).astype(np.int64)


def unit(words: NDArray[np.uint32]) -> Floats:
    """Numbers in 0 <= x < 1."""
    return np.asarray(words.astype(np.float64) / 2.0**32, dtype=np.float64)


def both_ways(words: NDArray[np.uint32]) -> Floats:
    """Numbers in -1 <= x < 1."""
    return np.asarray(words.astype(np.float64) / 2.0**31 - 1.0, dtype=np.float64)


def _chosen(words: Words) -> NDArray[np.bool_]:
    half: NDArray[np.bool_] = words[:, 0] >> np.uint32(31) == 1
    return half


def _windows(images: Float32Array, top: IntArray, left: IntArray, height: int, width: int) -> Float32Array:
    samples = np.arange(len(images))[:, None, None]
    rows = (top[:, None] + np.arange(height))[:, :, None]
    columns = (left[:, None] + np.arange(width))[:, None, :]
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)[samples, rows, columns].transpose(0, 3, 1, 2))
