"""Sliding a filter over maps: where inputs, filters and results lie from one pixel and tap to the next.

What the dense and the grouped kernels share: their arguments, the flattening of maps, and control flow by static sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from netdsl.plan.layout import Blocked
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access
from netdsl_llvm.kernels.expression import Epilogue
from netdsl_llvm.tiling import Split
from netdsl_llvm.windows import Axis

# Multiply-adds emitted in a row before the loop over channels closes: long enough to hide its counting.
UNROLLED = 64


@dataclass(frozen=True)
class Taps:
    """Kernel positions along one axis: how many, and the elements from one to the next in the input and the filter."""

    count: int
    x: int
    filter: int


@dataclass(frozen=True)
class Sliding:
    """The grid of results one kernel call computes.

    ``x`` and ``y`` give the elements from one result pixel to the next in the input and in the result. Pointers are
    handed in as the places of the first result pixel, of the first tap's input pixel, and of the first tap's weights.
    """

    batch: int
    rows: int
    cols: int
    x: Access
    y: Access
    tap_rows: Taps
    tap_cols: Taps
    bias: bool

    @staticmethod
    def of_axes(x: Blocked, y: Blocked, rows: Axis, cols: Axis, filter_steps: tuple[int, int], bias: bool) -> Sliding:
        """What one pair of axes describes; ``filter_steps`` are elements from a kernel row or column to the next."""
        return Sliding(
            y.batch,
            rows.count,
            cols.count,
            Access(x.n_stride, x.cb_stride, rows.in_step * x.row_stride, cols.in_step * x.block),
            Access(y.n_stride, y.cb_stride, rows.out_step * y.row_stride, cols.out_step * y.block),
            Taps(rows.taps, rows.tap_in * x.row_stride, rows.tap_step * filter_steps[0]),
            Taps(cols.taps, cols.tap_in * x.block, cols.tap_step * filter_steps[1]),
            bias,
        )

    @staticmethod
    def of_vectors(x: Blocked, y: Blocked, bias: bool) -> Sliding:
        """Single pixels: a fully connected layer."""
        one = Taps(1, 0, 0)
        x_access, y_access = (Access(a.n_stride, a.cb_stride, 0, 0) for a in (x, y))
        return Sliding(y.batch, 1, 1, x_access, y_access, one, one, bias)

    @staticmethod
    def of_products(pixel: int, block: Index) -> Sliding:
        """A matrix product: pixels ``pixel`` elements apart, blocks of their channels ``block`` apart."""
        one, nowhere = Taps(1, 0, 0), Access(0, 0, 0, 0)
        return Sliding(1, 1, 1, Access(0, block, 0, pixel), nowhere, one, one, bias=False)

    @property
    def title(self) -> str:
        """For names of functions."""
        return f"{self.tap_rows.count}x{self.tap_cols.count}_{self.rows}x{self.cols}"


def flattened(s: Sliding, epilogue: Epilogue) -> tuple[Sliding, Epilogue]:
    """The same with all pixels (and for single pixels, all samples) in one column, where memory allows it."""
    accesses = (s.x, s.y, *epilogue.accesses)
    if s.cols > 1 and all(a.h == a.w * s.cols for a in accesses):
        s, epilogue = _restride(s, epilogue, s.batch, s.rows * s.cols, lambda a: replace(a, h=a.w, w=0))
    if s.rows * s.cols == 1 and s.batch > 1:
        s, epilogue = _restride(s, epilogue, 1, s.batch, lambda a: replace(a, n=0, h=a.n, w=0))
    return s, epilogue


def _restride(
    s: Sliding, epilogue: Epilogue, batch: int, rows: int, change: Callable[[Access], Access]
) -> tuple[Sliding, Epilogue]:
    changed = replace(s, batch=batch, rows=rows, cols=1, x=change(s.x), y=change(s.y))
    return changed, replace(epilogue, accesses=tuple(map(change, epilogue.accesses)))


# -- strides as arguments ------------------------------------------------------------------


def without_strides(s: Sliding, epilogue: Epilogue) -> tuple[Sliding, Epilogue]:
    """All that the code depends on: strides from sample to sample and block to block are arguments of it."""
    stripped = tuple(replace(access, n=0, cb=0) for access in epilogue.accesses)
    shared = replace(epilogue, accesses=stripped, channels=epilogue.channels if epilogue.masks else 0)
    return replace(s, x=replace(s.x, n=0, cb=0), y=replace(s.y, n=0, cb=0)), shared


def stride_arguments(s: Sliding, epilogue: Epilogue) -> dict[str, Index]:
    """The strides that `with_strides` finds as arguments again."""
    accesses = {"x": s.x, "y": s.y} | {f"e{index}": access for index, access in enumerate(epilogue.accesses)}
    by_sample: dict[str, Index] = {f"{name}_n": access.n for name, access in accesses.items()}
    return by_sample | {f"{name}_cb": access.cb for name, access in accesses.items()}


def with_strides(k: Kernel, s: Sliding, epilogue: Epilogue) -> tuple[Sliding, Epilogue]:
    """As `without_strides` took apart, with the kernel's arguments in their places."""

    def given(name: str, access: Access) -> Access:
        return replace(access, n=k.arg(f"{name}_n"), cb=k.arg(f"{name}_cb"))

    accesses = tuple(given(f"e{index}", access) for index, access in enumerate(epilogue.accesses))
    return replace(s, x=given("x", s.x), y=given("y", s.y)), replace(epilogue, accesses=accesses)


# -- control flow --------------------------------------------------------------------------


def by_vectors(k: Kernel, full: Value, counts: tuple[int, int], emit: Callable[[int], None]) -> None:
    """Emit a tile's work for its registers: ``counts`` are those of a full tile, and of the last if it has fewer."""
    vectors, rest = counts
    if rest == 0:
        emit(vectors)
        return
    with k.either(full) as (whole, partial):
        with whole:
            emit(vectors)
        with partial:
            emit(rest)


def over_taps(
    k: Kernel,
    s: Sliding,
    places: tuple[Value, Value],
    sums: list[Value],
    step: int,
    add: Callable[[Value, Value, list[Value]], list[Value]],
) -> list[Value]:
    """The sums after all taps; ``places`` are those of the first one's input and weights.

    ``add`` gives the sums after one tap. ``step``, which divides the taps of a row, are emitted in a line.
    """
    x, weights = places
    with k.carried_loop(0, s.tap_rows.count, sums) as rows:
        row_x = k.at(x, k.mul(rows.index, s.tap_rows.x))
        row_weights = k.at(weights, k.mul(rows.index, s.tap_rows.filter))
        with k.carried_loop(0, s.tap_cols.count, rows.carried, step) as cols:
            sums = cols.carried
            for tap in range(step):
                column = k.add(cols.index, tap)
                tap_x = k.at(row_x, k.mul(column, s.tap_cols.x))
                sums = add(tap_x, k.at(row_weights, k.mul(column, s.tap_cols.filter)), sums)
            cols.carry(sums)
        rows.carry(cols.results)
    return rows.results


def keep_order(k: Kernel) -> None:
    """Loads stay on this side: LLVM's scheduler would move those of many channels ahead, out of registers.

    A fence within one thread costs no instruction.
    """
    k.b.fence("seq_cst", "singlethread")


def for_part(k: Kernel, split: Split, part: Index, emit: Callable[[Index, int], None]) -> None:
    """Emit the work on part number ``part`` of a split: ``emit(start, length)`` for each of the two lengths."""
    start = k.add(k.mul(part, split.base), k.min(part, split.longer))
    if split.longer == 0:
        emit(start, split.base)
        return
    with k.either(k.compare("<", part, split.longer)) as (long, short):
        with long:
            emit(start, split.base + 1)
        with short:
            emit(start, split.base)
