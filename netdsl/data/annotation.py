"""What is in a picture: things with a class, a box and a mask.

Places are in pixels, x to the right and y down, with whole numbers on the edges between pixels: the first
pixel covers 0..1, and a picture of width W ends at W.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import Float32Array, IntArray

VOID = 255
"""The class number of a pixel that counts for nothing, as in VOC."""

MAX_CLASSES = 254
"""With the ground and `VOID`, class numbers of pixels stay in one byte."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

BoolArray = NDArray[np.bool_]


class Mask(Protocol):
    def raster(self, height: int, width: int) -> BoolArray:
        """[height, width]: which pixels belong to the thing."""
        ...


@dataclass(frozen=True)
class Polygons:
    """The area inside any of ``rings``, each [K, 2] of (x, y). A ring that crosses itself is filled by the
    even-odd rule."""

    rings: tuple[NDArray[np.float64], ...]

    def raster(self, height: int, width: int) -> BoolArray:
        """A pixel belongs to the area if its centre does."""
        inside = np.zeros((height, width), dtype=bool)
        for ring in self.rings:
            inside |= _inside(ring, height, width)
        return inside


@dataclass(frozen=True)
class Runs:
    """Lengths of runs down the columns, from left to right: the first is of pixels outside the thing, the
    next of pixels inside, and so on (the uncompressed form of COCO)."""

    height: int
    width: int
    lengths: IntArray

    @classmethod
    def of(cls, mask: BoolArray) -> Runs:
        """Of [height, width]."""
        flat = mask.T.reshape(-1)
        changes = np.flatnonzero(np.diff(np.concatenate([[False], flat]))) if len(flat) else np.zeros(0, int)
        edges = np.concatenate([[0], changes, [len(flat)]])
        return cls(mask.shape[0], mask.shape[1], np.diff(edges).astype(np.int64))

    def raster(self, height: int, width: int) -> BoolArray:
        """Raises ValueError if asked for another size than the runs have."""
        if (height, width) != (self.height, self.width):
            raise ValueError(f"runs of {self.height}x{self.width} pixels for a picture of {height}x{width}")
        values = np.arange(len(self.lengths)) % 2 == 1
        return np.ascontiguousarray(np.repeat(values, self.lengths).reshape(width, height).T)


@dataclass(frozen=True)
class Instance:
    """One thing: its class number, its box, and its mask where that is known. ``hard`` ones (VOC's difficult,
    COCO's crowds) count for nothing in measures."""

    label: int
    box: Box
    mask: Mask | None = None
    hard: bool = False


class Annotated(ABC):
    """A split that knows what is where in its pictures."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def image(self, index: int) -> Float32Array:
        """The picture as [C, H, W] in 0..1."""

    @property
    @abstractmethod
    def targets(self) -> IntArray:
        """[N] class numbers. Raises UserError where pictures have none of their own."""

    @property
    @abstractmethod
    def offers(self) -> frozenset[Literal["class", "pixels", "box"]]:
        """The kinds of targets (data.targets) that all samples have."""

    @property
    @abstractmethod
    def void(self) -> bool:
        """Whether `pixels` may have `VOID`."""

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a picture."""

    @abstractmethod
    def instances(self, index: int) -> tuple[Instance, ...]:
        """The things in a picture, in pixels of `image`."""

    @abstractmethod
    def pixels(self, index: int) -> IntArray:
        """[H, W]: 0 on the ground, 1 + class number on things, `VOID` where it is not known."""


def paint(instances: tuple[Instance, ...], height: int, width: int) -> IntArray:
    """Class a pixel [height, width] from instances with masks: smaller ones lie over larger ones."""
    result = np.zeros((height, width), dtype=np.int64)
    masks = [(thing, thing.mask.raster(height, width)) for thing in instances if thing.mask is not None]
    for thing, mask in sorted(masks, key=lambda pair: -int(pair[1].sum())):
        result[mask] = VOID if thing.hard else 1 + thing.label
    return result


def box_of(mask: BoolArray) -> Box:
    """The smallest box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _inside(ring: NDArray[np.float64], height: int, width: int) -> BoolArray:
    """Even-odd rule along each row: a pixel is inside if an odd number of edges crosses to its left."""
    crossings = np.zeros((height, width + 1), dtype=np.int64)
    following = np.roll(ring, -1, axis=0)
    for (x0, y0), (x1, y1) in zip(ring.tolist(), following.tolist(), strict=True):
        low, high = min(y0, y1), max(y0, y1)
        first, last = max(0, int(np.ceil(low - 0.5))), min(height, int(np.ceil(high - 0.5)))
        if first >= last:
            continue
        rows = np.arange(first, last)
        x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.add.at(crossings, (rows, columns), 1)
    odd: BoolArray = np.cumsum(crossings, axis=1)[:, :width] % 2 == 1
    return odd
