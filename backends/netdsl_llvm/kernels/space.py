"""The places of a result and how every operand is reached from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access

Accesses = Mapping[str, Access]


@dataclass(frozen=True)
class Space:
    """Samples, channel blocks, rows and pixels, and the strides of the operands by the name of their pointer."""

    batch: Index
    blocks: Index
    height: Index
    width: Index
    accesses: Accesses

    def joined_rows(self) -> Space:
        """One row a map, where all operands hold their rows without gaps."""
        if not (self.height == 1 or all(a.h == a.w * self.width for a in self.accesses.values())):
            return self
        accesses = {name: replace(a, h=0) for name, a in self.accesses.items()}
        return Space(self.batch, self.blocks, 1, self.height * self.width, accesses)

    def joined_maps(self) -> Space:
        """One row a sample, or one in all, where all operands hold their channel blocks (and samples) without gaps."""
        space = self.joined_rows()
        if space.height != 1:
            return space
        if space.blocks == 1 or all(a.cb == a.w * space.width for a in space.accesses.values()):
            accesses = {name: replace(a, cb=0) for name, a in space.accesses.items()}
            space = Space(space.batch, 1, 1, space.blocks * space.width, accesses)
        if space.blocks == 1 and (space.batch == 1 or all(a.n == a.w * space.width for a in space.accesses.values())):
            accesses = {name: replace(a, n=0) for name, a in space.accesses.items()}
            space = Space(1, 1, 1, space.batch * space.width, accesses)
        return space

    def arguments(self) -> dict[str, Index]:
        """Everything about it as arguments of a kernel, so that one kernel serves all shapes."""
        values = {"batch": self.batch, "blocks": self.blocks, "height": self.height, "width": self.width}
        for name, access in self.accesses.items():
            values |= {f"{name}_n": access.n, f"{name}_cb": access.cb, f"{name}_h": access.h}
        return values

    def bound(self, k: Kernel) -> Space:
        """The same in terms of the kernel's arguments. Strides of pixels are constants of the code."""
        accesses = {
            name: Access(k.arg(f"{name}_n"), k.arg(f"{name}_cb"), k.arg(f"{name}_h"), a.w, a.splat)
            for name, a in self.accesses.items()
        }
        return Space(k.arg("batch"), k.arg("blocks"), k.arg("height"), k.arg("width"), accesses)

    @property
    def modes(self) -> tuple[tuple[str, int, bool], ...]:
        """What the code of a bound space depends on."""
        return tuple((name, a.w, a.splat) for name, a in self.accesses.items())

    def rows(self, k: Kernel, n: Index, cb: Index, h: Index) -> dict[str, Value]:
        """Where each operand's row starts."""
        return {name: k.at(k.arg(name), a.offset(k, n, cb, h, 0)) for name, a in self.accesses.items()}

    def load(self, k: Kernel, rows: Mapping[str, Value], name: str, w: Index) -> Value:
        """An operand's lanes at pixel w of its row."""
        access = self.accesses[name]
        return access.load(k, rows[name], k.mul(w, access.w))

    def store(self, k: Kernel, rows: Mapping[str, Value], name: str, w: Index, value: Value) -> None:
        """Write the lanes of a result at pixel w of its row."""
        k.store(value, rows[name], k.mul(w, self.accesses[name].w), align=4 * k.lanes)
