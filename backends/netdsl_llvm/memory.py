"""Aligned float32 memory for arenas and weights, and room for them."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netdsl_llvm.target import ARENA_ALIGNMENT

HUGE_PAGE = 2 << 20


def aligned_zeros(floats: int) -> npt.NDArray[np.float32]:
    """`floats` float32 zeros at an address that is a multiple of 64.

    Large blocks are page-aligned anonymous maps, on huge pages where the system offers them: kernels walk
    many streams at once, and small pages would cost a miss in the address table each. What is mapped around them so
    that they begin with a huge page is never touched, and so takes no memory.
    """
    size = max(floats, 1) * 4
    alignment = ARENA_ALIGNMENT if size < HUGE_PAGE else HUGE_PAGE
    raw = np.zeros(size + alignment, np.uint8) if size < HUGE_PAGE else _mapped(size + alignment)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size].view(np.float32)[:floats]


def _mapped(size: int) -> npt.NDArray[np.uint8]:
    # Private: a forked process gets memory of its own, and huge pages are not subject to the rules of shared memory.
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    block = mmap.mmap(-1, size, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.uint8)


_MAPS = Path("/proc/self/maps")


def release_code(library: str) -> None:
    """Give back the memory that a shared library's code takes, where the system tells where it is.

    Code is never written to, so what runs again is read again from the library's file. LLVM touches 27 MB of its own
    while it is loaded, and a network that runs needs none of it.
    """
    if not _MAPS.exists() or not hasattr(mmap, "MADV_DONTNEED"):
        return
    madvise = ctypes.CDLL(None).madvise
    for line in _MAPS.read_text().splitlines():
        area, access, *_, name = line.split()
        if access == "r-xp" and Path(name).name == library:
            start, end = (int(address, 16) for address in area.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_int(mmap.MADV_DONTNEED))
