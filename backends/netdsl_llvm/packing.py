"""Weights into a network's memory: by compiled code where a layout has rows side by side in lanes, else by NumPy.

Both give the same: products with the rows' factors in float64, rounded to float32 when they are stored. Only sums of
Winograd's transforms differ in order, by less than float32 sees but for the last bit of a sum that cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from netdsl.plan.layout import Layout
from netdsl_llvm.compile import Loaded, load
from netdsl_llvm.kept import kept_object
from netdsl_llvm.layouts import GroupedFilter, PackedFilter
from netdsl_llvm.packing_entries import PACK, ROWS, WINOGRAD_ROWS
from netdsl_llvm.pool import enter
from netdsl_llvm.target import Target
from netdsl_llvm.winograd_filter import WinogradFilter

Array: TypeAlias = "np.ndarray[Any, Any]"


def pack(layout: Layout, weight: Array, factors: Array | None, into: Array, threads: int) -> None:
    """Write `weight`, its rows along the first axis times `factors` [rows] (float64), into memory of `layout`.

    `into` holds what was packed there before, or zeros.
    """
    if not _compiled(layout, weight):
        scaled = weight if factors is None else weight * factors.reshape(-1, *[1] * (weight.ndim - 1))
        into[...] = layout.pack(scaled).view(np.float32)
        return
    assert isinstance(layout, PackedFilter | GroupedFilter | WinogradFilter)
    rows, size, lanes = weight.shape[0], weight[0].size, layout.lanes
    padded = np.ones(-(-rows // lanes) * lanes)
    if factors is not None:
        padded[:rows] = factors
    given: dict[str, Any] = {"source": weight, "result": into, "factors": padded, "rows": rows, "row_stride": size}
    given["bases"] = layout.bases
    if isinstance(layout, WinogradFilter):
        given |= {"channels": layout.group_inputs, "step": layout.width, "position_stride": layout.position_stride}
        _enter(_winograd(lanes, layout.results, layout.kernel), WINOGRAD_ROWS, given, threads)
    else:
        given |= {"places": layout.places, "columns": size}
        _enter(_rows(lanes), ROWS, given, threads)


def _enter(code: Loaded, names: Sequence[str], given: Mapping[str, Any], threads: int) -> None:
    """Numbers are given as they are, arrays by their addresses."""
    values = [given[name] for name in names]
    words = [value.ctypes.data if isinstance(value, np.ndarray) else value for value in values]
    arguments = np.array(words, np.int64)
    enter(code.address(PACK), arguments.ctypes.data, threads)


def _compiled(layout: Layout, weight: Array) -> bool:
    """Whether compiled code packs it: rows in lanes, long enough to fill squares."""
    if weight.dtype != np.float32 or not (weight.flags.c_contiguous and weight.flags.aligned):
        return False
    match layout:
        case PackedFilter(groups=1, transposed=False) | GroupedFilter(transposed=False):
            return bool(weight[0].size >= layout.lanes)
        case WinogradFilter(transposed=False):
            return layout.group_inputs >= layout.lanes
    return False


# Code for this machine, whatever the network's is limited to.


@cache
def _rows(lanes: int) -> Loaded:
    target = replace(Target.host(), lanes=lanes)

    def text() -> str:
        from netdsl_llvm.kernels.pack import pack_rows_text

        return pack_rows_text(target)

    return load(kept_object(f"pack rows {lanes}", target, text), [PACK])


@cache
def _winograd(lanes: int, results: int, kernel: int) -> Loaded:
    target = replace(Target.host(), lanes=lanes)

    def text() -> str:
        from netdsl_llvm.kernels.pack import pack_winograd_text

        return pack_winograd_text(target, results, kernel)

    return load(kept_object(f"pack winograd {lanes} {results} {kernel}", target, text), [PACK])
