"""Value types: what flows along an edge of the graph."""

from __future__ import annotations

import math
from enum import Enum

from netdsl.record import struct


class DType(Enum):
    """Element types. Arithmetic is F32; I32 carries class labels, counters and seeds."""

    F32 = "f32"
    I32 = "i32"


@struct
class TensorType:
    """Shape and element type of a value.

    ``shape`` never holds the batch axis. ``batched`` values have one leading axis N at run time
    (activations, labels); unbatched ones (weights, losses, learning rate) have exactly ``shape``.
    """

    shape: tuple[int, ...]
    batched: bool = True
    dtype: DType = DType.F32

    @property
    def elements(self) -> int:
        """Number of elements of one sample (of the whole value when unbatched)."""
        return math.prod(self.shape)

    def full_shape(self, batch: int) -> tuple[int, ...]:
        """The run-time shape at this batch."""
        return (batch, *self.shape) if self.batched else self.shape

    def __str__(self) -> str:
        text = "[" + ", ".join(map(str, self.shape)) + "]"
        if self.dtype is not DType.F32:
            text += self.dtype.value
        return text if self.batched else "const " + text
