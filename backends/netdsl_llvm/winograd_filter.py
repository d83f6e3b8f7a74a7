"""The weight layout of Winograd convolutions: filters already transformed."""

from __future__ import annotations

from typing import Any, TypeAlias

from netdsl import numpy_on_use as np
from netdsl.record import record
from netdsl_llvm.layouts import TiledFilter
from netdsl_llvm.winograd import transforms

Array: TypeAlias = "np.ndarray[Any, Any]"


@record
class WinogradFilter(TiledFilter):
    """``[tile][position][input block][lanes][vectors * lanes]`` with the result's channels in the lanes.

    Position p = i * n + j is element (i, j) of G g G' for F(``results``, ``kernel``), n = results + kernel - 1. A tile
    is ``vectors`` registers of result channels of one group; its inputs are those of the group. The logical shape is
    ``(outputs, inputs / groups, kernel, kernel)``; groups other than one hold whole tiles and whole input blocks. A
    ``transposed`` filter, of a gradient, is that of (inputs, outputs, kernel, kernel) turned by half a turn.
    """

    kernel: int
    results: int
    transposed: bool = False

    # -- extents ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's logical shape."""
        channels = (self.inputs, self.outputs) if self.transposed else (self.outputs, self.group_inputs)
        return (*channels, self.kernel, self.kernel)

    @property
    def size_of_tile(self) -> int:
        """n: inputs along an axis that a tile of results sees."""
        return self.results + self.kernel - 1

    @property
    def positions(self) -> int:
        return self.size_of_tile**2

    @property
    def group_inputs(self) -> int:
        return self.inputs // self.groups

    @property
    def input_blocks(self) -> int:
        """Blocks of the inputs of a group."""
        return -(-self.group_inputs // self.lanes)

    @property
    def position_stride(self) -> int:
        """Elements from one position to the next."""
        return self.input_blocks * self.lanes * self.width

    @property
    def tile_stride(self) -> int:
        """Elements from one tile to the next."""
        return self.positions * self.position_stride

    # -- conversion ------------------------------------------------------------------------

    def pack(self, array: Array) -> Array:
        """The flat float32 buffer of a weight in its logical shape; transformed in float64, rounded once."""
        weight = self._turned(np.asarray(array).reshape(self.shape))
        flat = np.zeros((self.tiles, self.positions, self.input_blocks * self.lanes, self.width), np.float32)
        both = np.kron(self._filter, self._filter)
        for tile in range(self.tiles):
            part = weight[tile * self.width : (tile + 1) * self.width].astype(np.float64)
            taps = part.reshape(len(part) * self.group_inputs, -1)
            transformed = (both @ taps.T).reshape(self.positions, len(part), self.group_inputs)
            flat[tile, :, : self.group_inputs, : len(part)] = transformed.transpose(0, 2, 1)
        return flat.reshape(-1)

    def unpack(self, flat: Array) -> Array:
        """The weight in its logical shape, by least squares: within rounding what was packed."""
        split = flat.reshape(self.tiles, self.positions, self.input_blocks * self.lanes, self.width)
        back = np.linalg.pinv(np.kron(self._filter, self._filter))
        taps = np.einsum("kp,tpic->tcik", back, split[:, :, : self.group_inputs].astype(np.float64))
        weight = taps.reshape(self.tiles * self.width, self.group_inputs, self.kernel, self.kernel)[: self.outputs]
        return np.ascontiguousarray(self._turned(weight).astype(np.float32))

    def _turned(self, weight: Array) -> Array:
        """Results first and inputs second, as they are correlated, and back."""
        return weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1] if self.transposed else weight

    @property
    def _filter(self) -> Array:
        return np.array(transforms(self.results, self.kernel).filter)
