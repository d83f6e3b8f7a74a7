"""What a data set is: two splits of (picture, target) samples, and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import Diagnostic

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
Fit = Literal["stretch", "cover"]


class Split(Protocol):
    """An indexed set of samples."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Float32Array:
        """The picture as [C, H, W] in 0..1, C 1 (grey) or 3 (red, green, blue), in its own size."""
        ...

    @property
    def targets(self) -> IntArray:
        """[N] class numbers, or [N, H, W] a class number a pixel."""
        ...


@dataclass(frozen=True)
class ArraySplit:
    """Samples held in memory: ``pixels`` [N, C, H, W] of uint8, shown as pixels / ``white``."""

    pixels: NDArray[np.uint8]
    targets: IntArray
    white: int = 255

    def __len__(self) -> int:
        return len(self.pixels)

    def image(self, index: int) -> Float32Array:
        pixels: Float32Array = self.pixels[index].astype(np.float32)
        return pixels / np.float32(self.white)


@dataclass(frozen=True)
class Data:
    """A data set as ``--data`` names it.

    ``classes`` are the class names in the order of the class numbers. ``warnings`` tell of files that
    were left out; ``fit`` how pictures of another aspect ratio become the net's, and
    ``native`` the (height, width) of all pictures, where they have one size (data.prepare).
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    fit: Fit = "stretch"
    native: tuple[int, int] | None = None
    warnings: tuple[Diagnostic, ...] = field(default=())
