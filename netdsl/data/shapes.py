"""`--data shapes`: coloured circles, squares and triangles over textures, drawn as they are asked for.

Every picture is a pure function of (seed, part, number), made of sums, products, quotients and square roots
only, which have the same bits on every machine. With one object a picture has its class; with any number,
things have boxes and masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from netdsl.data import counter
from netdsl.data.annotation import Annotated, BoolArray, Instance, Runs, box_of, paint
from netdsl.data.base import Data, Float32Array, IntArray
from netdsl.data.targets import Kind
from netdsl.diagnostics import Code, UserError

CLASSES = ("circle", "square", "triangle")
MIN_SIZE, MAX_SIZE = 16, 1024
MAX_COUNT = 1_000_000
MAX_OBJECTS = 16

_TEST = 1 << 40
_WORDS = 64
_SMALLEST, _LARGEST = 0.25, 0.42
_CONTRAST = 0.45
_TRIES = 12
_LATTICE = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShapeSplit(Annotated):
    """``count`` pictures [3, resolution, resolution] with 1 to ``objects`` things each, the first picture number
    ``start`` of the seed. Classes take turns: picture i's first thing is of class i mod 3."""

    count: int
    resolution: int
    objects: int
    seed: int
    start: int

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> Float32Array:
        picture = self._draw(index)[0]
        return np.ascontiguousarray(np.rint(picture * 255) / 255, dtype=np.float32)

    def size(self, index: int) -> tuple[int, int]:
        return self.resolution, self.resolution

    def instances(self, index: int) -> tuple[Instance, ...]:
        things = self._draw(index)[1]
        return tuple(Instance(label, box_of(mask), Runs.of(mask)) for label, mask in things)

    def pixels(self, index: int) -> IntArray:
        return paint(self.instances(index), self.resolution, self.resolution)

    @property
    def offers(self) -> frozenset[Kind]:
        return frozenset(("class", "pixels", "box") if self.objects == 1 else ("pixels", "box"))

    @property
    def void(self) -> bool:
        return False

    @cached_property
    def targets(self) -> IntArray:
        """[N] class numbers. Raises UserError where pictures may have several things."""
        if self.objects != 1:
            raise UserError.of(Code.DATA_LABELS, "pictures of several shapes have no class of their own")
        return np.arange(self.count, dtype=np.int64) % len(CLASSES)

    def _draw(self, index: int) -> tuple[Floats, list[tuple[int, BoolArray]]]:
        """[3, size, size] in 0..1, and each thing's class and mask."""
        random = _Random(self.seed, self.start + index)
        picture = _ground(random, self.resolution)
        things: list[tuple[int, BoolArray]] = []
        taken = np.zeros((self.resolution, self.resolution), dtype=bool)
        wanted = 1 + random.below(self.objects)
        for number in range(wanted):
            label = index % len(CLASSES) if number == 0 else random.below(len(CLASSES))
            cover = _place(random, label, self.resolution, taken)
            if cover is None:
                continue
            mask = cover >= 0.5
            taken |= mask
            colour = _standing_out(random, np.rint(255 * picture[:, mask]).sum(axis=1) / (255 * mask.sum()))
            picture += cover * (colour[:, None, None] - picture)
            things.append((label, mask))
        return picture, things


def shapes(*, size: int = 32, train: int = 4000, test: int = 1000, objects: int = 1, seed: int = 0) -> Data:
    """The two parts, of as many pictures as ``train`` and ``test`` say."""
    return Data(
        name=f"shapes:size={size},train={train},test={test},objects={objects},seed={seed}",
        classes=CLASSES,
        train=ShapeSplit(train, size, objects, seed, 0),
        test=ShapeSplit(test, size, objects, seed, _TEST),
        native=(size, size),
    )


class _Random:
    """Numbers in the order in which they are asked for, from one counter a picture."""

    def __init__(self, seed: int, picture: int) -> None:
        self._seed, self._picture = seed, picture
        self._block = 0
        self._words: list[int] = []

    def word(self) -> int:
        if not self._words:
            self._words = self.array(_WORDS).tolist()[::-1]
        return self._words.pop()

    def array(self, count: int) -> NDArray[np.uint32]:
        """``count`` fresh 32-bit words."""
        places = self._block + np.arange(-(-count // 4), dtype=np.uint64)
        counters = np.empty((len(places), 4), dtype=np.uint64)
        counters[:, 0], counters[:, 1] = self._picture & 0xFFFFFFFF, self._picture >> 32
        counters[:, 2], counters[:, 3] = places, 1
        self._block += len(places)
        return counter.philox(counters, self._seed).reshape(-1)[:count]

    def unit(self) -> float:
        """0 <= x < 1."""
        return self.word() / 2.0**32

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def below(self, count: int) -> int:
        return (self.word() * count) >> 32

    def colour(self) -> Floats:
        return np.array([self.unit() for _ in range(3)])


def _ground(random: _Random, size: int) -> Floats:
    """A texture of two colours that are not far apart (clouds, stripes or a chequerboard), with noise."""
    first = 0.15 + 0.7 * random.colour()
    second = np.clip(first + 0.3 * (random.colour() - 0.5), 0, 1)
    y, x = np.mgrid[:size, :size]
    kind = random.below(3)
    period = 2 + random.below(max(3, size // 6))
    if kind == 0:
        mix = _clouds(random, size)
    elif kind == 1:
        slant = 1 + random.below(3)
        mix = ((x + y * (slant - 2)) // period % 2).astype(np.float64)
    else:
        mix = ((x // period + y // period) % 2).astype(np.float64)
    noise = random.array(3 * size * size).reshape(3, size, size) / 2.0**32 - 0.5
    picture = first[:, None, None] + mix * (second - first)[:, None, None] + 0.08 * noise
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float64)


def _clouds(random: _Random, size: int) -> Floats:
    """Random values on a coarse lattice, linear between its points."""
    lattice = random.array(_LATTICE * _LATTICE).reshape(_LATTICE, _LATTICE) / 2.0**32
    at = np.arange(size) * ((_LATTICE - 1) / size)
    low = at.astype(np.int64)
    share = at - low
    rows = lattice[low] + share[:, None] * (lattice[low + 1] - lattice[low])
    return np.asarray(rows[:, low] + share * (rows[:, low + 1] - rows[:, low]), dtype=np.float64)


def _place(random: _Random, label: int, size: int, taken: BoolArray) -> Floats | None:
    """How much of each pixel a thing covers [size, size], at a free place; None if none was found."""
    shrink = 1.0
    for _ in range(_TRIES):
        radius = shrink * size * random.between(_SMALLEST, _LARGEST)
        x, y = random.between(radius, size - radius), random.between(radius, size - radius)
        cover = _cover(random, label, size, x, y, radius)
        if (cover >= 0.5).any() and not (taken & (cover > 0)).any():
            return cover
        shrink *= 0.9
    return None


def _cover(random: _Random, label: int, size: int, x: float, y: float, radius: float) -> Floats:
    """By the distance of pixel centres from the edge; ``radius`` reaches the corners."""
    across, down = np.arange(size) + 0.5 - x, (np.arange(size) + 0.5 - y)[:, None]
    half = random.unit()
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)  # a turn of up to 90 degrees
    u, v = cos * across + sin * down, cos * down - sin * across
    if label == 0:
        distance = np.sqrt(across * across + down * down) - 0.8 * radius
    elif label == 1:
        distance = np.maximum(np.abs(u), np.abs(v)) - radius / sqrt(2)
    else:
        v = v if random.below(2) else -v
        distance = np.maximum(v, np.abs(u) * (sqrt(3) / 2) - v / 2) - radius / 2
    return np.asarray(np.clip(0.5 - distance, 0, 1), dtype=np.float64)


def _standing_out(random: _Random, ground: Floats) -> Floats:
    """A colour at a distance from the mean colour of what it will cover."""
    while True:
        colour = random.colour()
        if np.abs(colour - ground).max() >= _CONTRAST:
            return colour
