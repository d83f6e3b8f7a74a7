"""Where the elements of a value lie in memory.

Activations (and all vectors) are blocked by channel: ``[N][C/b][top+H+bottom][left+W+right][b]``, with b the
target's channel block. Channels beyond C and the halo around each map are zero, always: the kernel that
produces a value writes them, so a padded convolution reads its zeros like any other pixel.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeAlias

from netdsl import numpy_on_use as np
from netdsl.ir.types import TensorType
from netdsl.record import struct

Array: TypeAlias = "np.ndarray[Any, Any]"
Halo = tuple[int, int, int, int]
"""Rows above, rows below, columns left, columns right."""
NO_HALO: Halo = (0, 0, 0, 0)


def canonical(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Any shape as (channels, height, width): () -> (1,1,1), (C) -> (C,1,1), (C,W) -> (C,1,W), more -> (C,H,rest)."""
    match len(shape):
        case 0:
            return (1, 1, 1)
        case 1:
            return (shape[0], 1, 1)
        case 2:
            return (shape[0], 1, shape[1])
    return (shape[0], shape[1], math.prod(shape[2:]))


def widest(first: Halo, second: Halo) -> Halo:
    """The smallest halo that contains both."""
    return (
        max(first[0], second[0]),
        max(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


@struct
class Blocked:
    """A blocked layout; strides are in elements (4 bytes each) and may be those of a larger buffer."""

    batch: int
    channels: int
    height: int
    width: int
    block: int
    halo: Halo
    n_stride: int
    cb_stride: int
    row_stride: int

    @staticmethod
    def of(type: TensorType, batch: int, block: int, halo: Halo = NO_HALO) -> Blocked:
        """A layout of its own for a value of this type (unbatched values have batch 1)."""
        channels, height, width = canonical(type.shape)
        row = (width + halo[2] + halo[3]) * block
        plane = row * (height + halo[0] + halo[1])
        blocks = -(-channels // block)
        count = batch if type.batched else 1
        return Blocked(count, channels, height, width, block, halo, blocks * plane, plane, row)

    @property
    def blocks(self) -> int:
        """Channel blocks, the last one possibly partial."""
        return -(-self.channels // self.block)

    @property
    def size(self) -> int:
        """Elements of a buffer that holds just this value."""
        return self.batch * self.n_stride

    @property
    def origin(self) -> int:
        """Elements from the buffer's start to pixel (0, 0) of the first block: what lies before it is halo."""
        return self.halo[0] * self.row_stride + self.halo[2] * self.block

    def part(self, channels: int) -> Blocked:
        """The layout of ``channels`` consecutive channels of this value, in place."""
        return Blocked(
            self.batch,
            channels,
            self.height,
            self.width,
            self.block,
            self.halo,
            self.n_stride,
            self.cb_stride,
            self.row_stride,
        )

    def pack(self, array: Array) -> Array:
        """A flat buffer holding ``array``: logical shape with a leading N, or without one when the batch is 1."""
        source = np.asarray(array).reshape(self.batch, self.channels, self.height, self.width)
        dtype = np.int32 if source.dtype.kind in "iu" else np.float32
        top, bottom, left, right = self.halo
        padded = np.zeros(
            (self.batch, self.blocks * self.block, self.height + top + bottom, self.width + left + right),
            dtype,
        )
        padded[:, : self.channels, top : top + self.height, left : left + self.width] = source
        split = padded.reshape(self.batch, self.blocks, self.block, *padded.shape[2:])
        return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 2)).reshape(-1)

    def unpack(self, flat: Array) -> Array:
        """The (N, C, H, W) array held in a buffer of just this value."""
        top, bottom, left, right = self.halo
        full = flat.reshape(
            self.batch, self.blocks, self.height + top + bottom, self.width + left + right, self.block
        ).transpose(0, 1, 4, 2, 3)
        planes = full.reshape(self.batch, self.blocks * self.block, *full.shape[3:])
        return np.ascontiguousarray(planes[:, : self.channels, top : top + self.height, left : left + self.width])


class WeightLayout(Protocol):
    """A backend's own order for a weight (packed for its kernels). Must be hashable and compare by value.

    Elements of ``size`` that hold no weight are zero and stay zero under elementwise updates.
    """

    @property
    def size(self) -> int:
        """Elements, padding included."""
        ...

    def pack(self, array: Array) -> Array:
        """The flat float32 buffer of a weight in its logical shape."""
        ...

    def unpack(self, flat: Array) -> Array:
        """The weight in its logical shape."""
        ...


Layout = Blocked | WeightLayout
