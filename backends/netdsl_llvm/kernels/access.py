"""Reading an operand at the place of a result: strides, with broadcasting as strides of zero."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.diagnostics import Unsupported
from netdsl.ir.types import TensorType
from netdsl.plan.layout import Blocked
from netdsl.plan.plan import View
from netdsl_llvm.emit import Index, Kernel, Value


@dataclass(frozen=True)
class Access:
    """Strides in floats along the result's sample, channel block, row and pixel; `splat`: one channel for all lanes."""

    n: Index
    cb: Index
    h: Index
    w: Index
    splat: bool = False

    def offset(self, k: Kernel, n: Index, cb: Index, h: Index, w: Index) -> Index:
        """Floats from the operand's pixel (0, 0) to the place read for this place of the result."""
        return k.add(k.mul(n, self.n), k.mul(cb, self.cb), k.mul(h, self.h), k.mul(w, self.w))

    def load(self, k: Kernel, pointer: Value, offset: Index) -> Value:
        """The operand's lanes at `offset` (aligned to a vector)."""
        if self.splat:
            return k.load_broadcast(pointer, offset)
        return k.load(pointer, offset, align=4 * k.lanes)


def blocked(view: View, lanes: int) -> Blocked:
    """The view's layout, which must be blocked by the target's lanes."""
    if not isinstance(view.layout, Blocked) or view.layout.block != lanes:
        raise ValueError(f"expected a layout blocked by {lanes}, not {view.layout}")
    return view.layout


def own_access(view: View, lanes: int) -> Access:
    """A value at its own places."""
    layout = blocked(view, lanes)
    return Access(layout.n_stride, layout.cb_stride, layout.row_stride, layout.block)


def broadcast_access(view: View, kind: TensorType, result: TensorType, lanes: int) -> Access:
    """An operand of type `kind` at the places of a result: shapes aligned at the channel axis, unit axes repeated.

    Raises Unsupported where axes from the third on, which are stored as one, are repeated in part only.
    """
    layout = blocked(view, lanes)
    rank = len(result.shape)
    shape = kind.shape + (1,) * (rank - len(kind.shape))
    own = (layout.cb_stride, layout.row_stride if len(kind.shape) >= 3 else layout.block)
    cb = own[0] if shape[:1] != (1,) else 0
    rows = columns = 0
    if rank == 2:
        columns = layout.block if shape[1] != 1 else 0
    elif rank >= 3:
        rows = own[1] if shape[1] != 1 else 0
        columns = _last_axes(shape[2:], result.shape[2:], layout.block)
    splat = cb == 0 and result.shape[:1] != (1,) and rank > 0
    n = layout.n_stride if kind.batched and layout.batch > 1 else 0
    return Access(n, cb if rank else 0, rows, columns, splat)


def _last_axes(shape: tuple[int, ...], result: tuple[int, ...], block: int) -> int:
    if all(extent == 1 for extent in shape):
        return 0
    if shape != result:
        raise Unsupported("broadcast", "cpu", f"axes {shape} cannot be repeated to {result} in part", ())
    return block
