"""Aligned float32 memory for arenas and weights."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

from netdsl_llvm.target import ARENA_ALIGNMENT

HUGE_PAGE = 2 << 20


def aligned_zeros(floats: int) -> npt.NDArray[np.float32]:
    """`floats` float32 zeros at an address that is a multiple of 64.

    Large blocks are page-aligned anonymous maps, on huge pages where the system offers them: kernels walk
    many streams at once, and small pages would cost a miss in the address table each. Not a byte more is mapped
    than asked for, or the resident memory would exceed what was planned.
    """
    size = max(floats, 1) * 4
    if size < HUGE_PAGE:
        raw = np.zeros(size + ARENA_ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ARENA_ALIGNMENT
        return raw[start : start + size].view(np.float32)[:floats]
    # Private: a forked process gets memory of its own, and huge pages are not subject to the rules of shared memory.
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    block = mmap.mmap(-1, size, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.float32)[:floats]
