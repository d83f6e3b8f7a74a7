"""Weight layouts: the order in which kernels read filters, so that inner loops walk memory forward."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, TypeAlias

from netdsl import numpy_on_use as np
from netdsl.record import record

Array: TypeAlias = "np.ndarray[Any, Any]"


@record
class TiledFilter:
    """A filter whose result channels lie in tiles of ``vectors`` registers of ``lanes`` channels each.

    ``outputs`` are the channels of the result, ``inputs`` those summed over, both over all ``groups``.
    """

    outputs: int
    inputs: int
    kernel: tuple[int, ...] | int
    groups: int
    lanes: int
    vectors: int

    @property
    def output_vectors(self) -> int:
        """Registers that hold the result's channels, the last one possibly partial."""
        return -(-self.outputs // self.lanes)

    @property
    def tiles(self) -> int:
        return -(-self.output_vectors // self.vectors)

    @property
    def width(self) -> int:
        """Result channels of a tile."""
        return self.vectors * self.lanes

    @property
    def tile_stride(self) -> int:
        """Elements from one tile to the next."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        return self.tiles * self.tile_stride

    def fewest(self, block: int) -> tuple[int, int]:
        """The least numbers of result and input channels that have the same partial tile, and the same partial block
        of ``block`` inputs: the same code."""
        outputs = self.width + self.output_vectors % self.vectors * self.lanes
        inputs = self.inputs % block + (block if self.inputs >= block else 0)
        return outputs, inputs

    @property
    def bases(self) -> Array:
        """Where each register of result channels begins."""
        tile, vector = np.divmod(np.arange(self.output_vectors, dtype=np.int64), self.vectors)
        return np.asarray(tile * self.tile_stride + vector * self.lanes)


@record
class PackedFilter(TiledFilter):
    """``[tile][input block][kernel position][block][vectors * lanes]`` with the result's channels in the lanes.

    A tile has all input blocks that its groups touch (the same number for every tile; entries between channels of
    different groups are zero). The logical shape is
    ``(outputs, inputs / groups, *kernel)``, or ``(inputs, outputs / groups, *kernel)`` when ``transposed``.
    A fully connected layer has an empty ``kernel``.
    """

    kernel: tuple[int, ...]
    block: int
    transposed: bool = False

    # -- extents ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's logical shape."""
        if self.transposed:
            return (self.inputs, self.outputs // self.groups, *self.kernel)
        return (self.outputs, self.inputs // self.groups, *self.kernel)

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def input_blocks(self) -> int:
        """Blocks of the whole input."""
        return -(-self.inputs // self.block)

    @cached_property
    def span(self) -> int:
        """Input blocks a tile sums over."""
        if self.groups == 1:
            return self.input_blocks
        return max(self._last_block(tile) - self._wanted_block(tile) for tile in range(self.tiles))

    def first_block(self, tile: int) -> int:
        """The first of them."""
        return min(self._wanted_block(tile), self.input_blocks - self.span)

    def _wanted_block(self, tile: int) -> int:
        group = tile * self.width // (self.outputs // self.groups)
        return group * (self.inputs // self.groups) // self.block

    def _last_block(self, tile: int) -> int:
        last = min((tile + 1) * self.width, self.outputs) - 1
        group = last // (self.outputs // self.groups)
        return -(-(group + 1) * (self.inputs // self.groups) // self.block)

    @property
    def tap_stride(self) -> int:
        """Elements from one kernel position to the next."""
        return self.block * self.width

    @property
    def block_stride(self) -> int:
        """Elements from one input block to the next."""
        return self.taps * self.tap_stride

    @property
    def tile_stride(self) -> int:
        """Elements from one tile to the next."""
        return self.span * self.block_stride

    @property
    def places(self) -> Array:
        """How far from there the elements of a filter lie, in the logical shape's order; of dense filters."""
        block, channel = np.divmod(np.arange(self.inputs)[:, None], self.block)
        place = block * self.block_stride + channel * self.width + np.arange(self.taps) * self.tap_stride
        return np.ascontiguousarray(place.reshape(-1), np.int64)

    # -- conversion ------------------------------------------------------------------------

    def pack(self, array: Array) -> Array:
        """The flat float32 buffer of a weight in its logical shape."""
        weight = np.asarray(array, np.float32).reshape(*self.shape[:2], self.taps)
        if self.groups > 1:
            flat = np.zeros(self.size, np.float32)
            flat[self._places] = weight
            return flat
        dense = weight.transpose(1, 0, 2) if self.transposed else weight
        padded = np.zeros((self.tiles * self.width, self.input_blocks * self.block, self.taps), np.float32)
        padded[: self.outputs, : self.inputs] = dense
        split = padded.reshape(self.tiles, self.width, self.input_blocks, self.block, self.taps)
        return np.ascontiguousarray(split.transpose(0, 2, 4, 3, 1)).reshape(-1)

    def unpack(self, flat: Array) -> Array:
        """The weight in its logical shape."""
        if self.groups > 1:
            return np.asarray(flat[self._places]).reshape(self.shape)
        split = flat.reshape(self.tiles, self.input_blocks, self.taps, self.block, self.width)
        padded = split.transpose(0, 4, 1, 3, 2).reshape(
            self.tiles * self.width, self.input_blocks * self.block, self.taps
        )
        dense = padded[: self.outputs, : self.inputs]
        if self.transposed:
            dense = dense.transpose(1, 0, 2)
        return np.ascontiguousarray(dense).reshape(self.shape)

    @property
    def _places(self) -> Array:
        """Where the element (first axis, second axis, kernel position) of the logical shape lies."""
        per_group_out, per_group_in = self.outputs // self.groups, self.inputs // self.groups
        first, second = np.arange(self.shape[0])[:, None], np.arange(self.shape[1])[None, :]
        if self.transposed:
            inputs, outputs = first, first // per_group_in * per_group_out + second
        else:
            outputs, inputs = first, first // per_group_out * per_group_in + second
        tile = outputs // self.width
        start = np.array([self.first_block(number) for number in range(self.tiles)])[tile]
        place = (
            tile * self.tile_stride
            + (inputs // self.block - start) * self.block_stride
            + inputs % self.block * self.width
            + outputs % self.width
        )
        return np.asarray(place[:, :, None] + np.arange(self.taps) * self.tap_stride)


@record
class GroupedFilter:
    """``[register][kernel position][channel of the group][lanes]``: few channels a group, as many results as inputs.

    A register holds ``lanes`` results, of several whole groups; lane l of entry c belongs to input channel c of the
    group of l. The logical shape is ``(channels, group, *kernel)`` with ``group`` channels each; when ``transposed``
    its first axis is summed over and its second is in the lanes.
    """

    channels: int
    group: int
    kernel: tuple[int, ...]
    lanes: int
    transposed: bool = False

    @staticmethod
    def fits(outputs: int, inputs: int, groups: int, lanes: int) -> bool:
        """Whether registers hold whole groups, at least two."""
        group = inputs // groups
        return outputs == inputs and group < lanes and lanes % group == 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's logical shape."""
        return (self.channels, self.group, *self.kernel)

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def vectors(self) -> int:
        """Registers that hold the result's channels, the last one possibly partial."""
        return -(-self.channels // self.lanes)

    @property
    def tap_stride(self) -> int:
        """Elements from one kernel position to the next."""
        return self.group * self.lanes

    @property
    def vector_stride(self) -> int:
        """Elements from one register of results to the next."""
        return self.taps * self.tap_stride

    @property
    def size(self) -> int:
        return self.vectors * self.vector_stride

    @property
    def bases(self) -> Array:
        """Where each register of result channels begins."""
        return np.arange(self.vectors, dtype=np.int64) * self.vector_stride

    @property
    def places(self) -> Array:
        """How far from there the elements of a filter lie, in the logical shape's order; unless transposed."""
        place = np.arange(self.group)[:, None] * self.lanes + np.arange(self.taps) * self.tap_stride
        return np.ascontiguousarray(place.reshape(-1), np.int64)

    def pack(self, array: Array) -> Array:
        """The flat float32 buffer of a weight in its logical shape."""
        weight = self._turned(np.asarray(array, np.float32).reshape(self.channels, self.group, self.taps))
        padded = np.zeros((self.vectors * self.lanes, self.group, self.taps), np.float32)
        padded[: self.channels] = weight
        split = padded.reshape(self.vectors, self.lanes, self.group, self.taps)
        return np.ascontiguousarray(split.transpose(0, 3, 2, 1)).reshape(-1)

    def unpack(self, flat: Array) -> Array:
        """The weight in its logical shape."""
        split = flat.reshape(self.vectors, self.taps, self.group, self.lanes).transpose(0, 3, 2, 1)
        padded = split.reshape(self.vectors * self.lanes, self.group, self.taps)
        return np.ascontiguousarray(self._turned(padded[: self.channels])).reshape(self.shape)

    def _turned(self, weight: Array) -> Array:
        """Summed and result channels change places within each group when transposed."""
        if not self.transposed:
            return weight
        squares = weight.reshape(-1, self.group, self.group, self.taps)
        return squares.transpose(0, 2, 1, 3).reshape(weight.shape)


FilterLayout = PackedFilter | GroupedFilter
