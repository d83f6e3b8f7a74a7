"""Filters of Winograd convolutions, made from weights that training changes, register by register.

Registers of a result that lie beyond its last channel are not written: no kernel reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.linear import load_square, store_positions, transformed_both_ways
from netdsl_llvm.kernels.relayout import transpose
from netdsl_llvm.layouts import PackedFilter
from netdsl_llvm.winograd import transforms
from netdsl_llvm.winograd_filter import WinogradFilter

_EXTENTS = ("vectors", "width", "tile_stride", "block_stride", "tap_stride")


def weight_arguments(weights: PackedFilter) -> dict[str, Index]:
    """What `FilterTransform` finds as arguments: filters of all shapes share its code."""
    assert weights.groups == 1 and weights.block == weights.lanes and not weights.transposed
    return {f"w_{name}": getattr(weights, name) for name in _EXTENTS}


@dataclass
class FilterTransform:
    """G g G' of the weights at the argument ``filter``, in the layout of the forward direct convolution, into
    ``position_stride`` elements for each position."""

    k: Kernel
    filter: WinogradFilter
    position_stride: Index

    def __post_init__(self) -> None:
        taps = self.filter.kernel**2
        self._squares = self.k.scratch(taps * self.k.lanes**2) if self.filter.transposed else None

    def register(self, vector: Index, block: Index, result: Value) -> None:
        """The register ``vector`` of result channels by a ``block`` of inputs."""
        k, taps = self.k, self.filter.kernel**2
        if self._squares is None:
            weights, following = self._weights(vector, block), self._weights(vector, k.add(block, 1))
            with k.loop(0, k.lanes) as channel:
                row = k.mul(channel, k.arg("w_width"))
                for tap in range(taps):
                    k.fetch_ahead(following, k.add(row, k.mul(tap, k.arg("w_tap_stride"))), level=1)
                self._transform(
                    k.at(weights, row), k.arg("w_tap_stride"), k.at(result, k.mul(channel, self.filter.width))
                )
            return
        # the weights' inputs are the result's channels, and their taps are taken from the last
        self._turn(self._weights(block, vector), self._weights(k.add(block, 1), vector), self._squares)
        with k.loop(0, k.lanes) as channel:
            last = k.at(self._squares, k.mul(k.add(k.mul(channel, taps), taps - 1), k.lanes))
            self._transform(last, -k.lanes, k.at(result, k.mul(channel, self.filter.width)))

    def _weights(self, vector: Index, block: Index) -> Value:
        """Where a register of the weights' result channels begins in a block of their inputs."""
        k = self.k
        tile, member = k.split(vector, k.arg("w_vectors"))
        place = k.add(k.mul(tile, k.arg("w_tile_stride")), k.mul(member, k.lanes))
        return k.at(k.arg("filter"), k.add(place, k.mul(block, k.arg("w_block_stride"))))

    def _turn(self, weights: Value, following: Value, squares: Value) -> None:
        """Squares of two channels change places, tap by tap."""
        k, taps = self.k, self.filter.kernel**2
        with k.loop(0, taps) as tap:
            place = k.at(weights, k.mul(tap, k.arg("w_tap_stride")))
            for lane in range(k.lanes):
                offset = k.add(k.mul(tap, k.arg("w_tap_stride")), k.mul(lane, k.arg("w_width")))
                k.fetch_ahead(following, offset, level=1)
            rows = [k.load(place, k.mul(k.arg("w_width"), lane)) for lane in range(k.lanes)]
            for channel, row in enumerate(transpose(k, rows)):
                k.store(row, squares, k.mul(k.add(channel * taps, tap), k.lanes))

    def _transform(self, weights: Value, tap_stride: Index, result: Value) -> None:
        """One channel of the inputs."""
        k, f = self.k, self.filter
        taps = load_square(k, weights, f.kernel, k.mul(tap_stride, f.kernel), tap_stride)
        store_positions(
            k, transformed_both_ways(k, transforms(f.results, f.kernel).filter, taps), result, self.position_stride
        )
