"""Which values share memory: concatenation, slices and reshapes as views, and results written in place."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir.types import DType, TensorType
from netdsl.plan.layout import Blocked, Halo, canonical, widest


@dataclass(eq=False)
class Slot:
    """A blocked value's place: a buffer of its own, or ``shift`` channel blocks into ``parent``."""

    batch: int
    channels: int
    height: int
    width: int
    block: int
    halo: Halo = (0, 0, 0, 0)
    dtype: DType = DType.F32
    parent: Slot | None = None
    shift: int = 0
    fixed: bool = False
    """Lies in the caller's or the weights' memory: never merged or overwritten."""
    first: int = -1
    last: int = -1

    @staticmethod
    def of(type: TensorType, batch: int, block: int) -> Slot:
        """A place of its own for a value of this type (unbatched values have batch 1)."""
        return Slot(batch if type.batched else 1, *canonical(type.shape), block, dtype=type.dtype)

    @property
    def root(self) -> Slot:
        slot = self
        while slot.parent is not None:
            slot = slot.parent
        return slot

    @property
    def offset_blocks(self) -> int:
        """Channel blocks from the root's start."""
        blocks, slot = 0, self
        while slot.parent is not None:
            blocks += slot.shift
            slot = slot.parent
        return blocks

    @property
    def whole(self) -> bool:
        """Owns its buffer (others may lie inside it)."""
        return self.parent is None and not self.fixed

    def widen(self, halo: Halo) -> None:
        root = self.root
        root.halo = widest(root.halo, halo)

    def merge_into(self, host: Slot, shift: int) -> None:
        """Lay this buffer ``shift`` blocks into ``host``; both keep their content."""
        if not self.whole:
            raise ValueError("only a buffer of its own can be merged")
        host.widen(self.halo)
        self.parent, self.shift = host, shift
        if self.first >= 0:
            host.touch(self.first)
            host.touch(self.last)

    def touch(self, time: int) -> None:
        """Extend the life of the buffer to step ``time``."""
        root = self.root
        root.first = time if root.first < 0 else min(root.first, time)
        root.last = max(root.last, time)

    def layout(self) -> Blocked:
        """Where the elements lie, with the root's strides."""
        root = self.root
        own = Blocked.of(TensorType((root.channels, root.height, root.width)), root.batch, root.block, root.halo)
        return own.part(self.channels)

    def elements(self) -> int:
        """Size of the root's buffer."""
        return self.root.layout().size


def same_shape(first: Slot, second: Slot) -> bool:
    """Whether one could lie in place of the other."""
    return (first.batch, first.channels, first.height, first.width, first.block, first.dtype) == (
        second.batch,
        second.channels,
        second.height,
        second.width,
        second.block,
        second.dtype,
    )
