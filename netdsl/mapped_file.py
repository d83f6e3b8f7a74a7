"""Arrays in a file that is mapped into memory: read when they are used, and given back without being copied."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, TypeAlias

from netdsl import numpy_on_use as np

Array: TypeAlias = "np.ndarray[Any, Any]"
KEPT_BYTES = 4 << 20
"""Of a file that may stay in memory: to give it back behind every small array takes longer than to read them."""
BROUGHT_IN = 1 << 20
"""Bytes beside an array that come into memory with it: systems bring in from 64 kilobytes to two megabytes at once."""


class MappedFile(mmap.mmap):
    """A file's bytes, not to be written to.

    They stay those of the file that had the name when it was opened; but writing into that very file shows, and what
    is cut off it can no longer be read: the system kills a process that tries.
    """

    _path: Path
    _status: os.stat_result
    _unreleased = 0

    @staticmethod
    def open(path: Path) -> MappedFile:
        """Raises OSError, and ValueError for an empty file."""
        with path.open("rb") as file:
            opened = MappedFile(file.fileno(), 0, access=mmap.ACCESS_READ)
            opened._path, opened._status = path.absolute(), os.fstat(file.fileno())
        return opened

    @property
    def is_intact(self) -> bool:
        """False if the file was written into since it was opened; another one may have taken its name."""
        try:
            now = os.stat(self._path)
        except OSError:
            return True
        then = self._status
        other = (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
        return other or (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)

    def array(self, dtype: str, shape: tuple[int, ...], start: int) -> Array:
        """The array at byte ``start``, without a copy. Raises ValueError where it does not lie in the file."""
        count = 1
        for extent in shape:
            count *= extent
        return np.frombuffer(self, dtype, count, start).reshape(shape)


def release(array: Array) -> None:
    """An array that was read is not needed soon: once ``KEPT_BYTES`` of its ``MappedFile`` are not, its memory is given
    back until it is read again. Arrays elsewhere are left alone.

    Of the whole file, for more than the array was brought in.
    """
    owner = _file_of(array)
    if owner is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    owner._unreleased += array.nbytes + BROUGHT_IN
    if owner._unreleased >= KEPT_BYTES:
        owner._unreleased = 0
        owner.madvise(mmap.MADV_DONTNEED)


def is_intact(array: Array) -> bool:
    """False if the ``MappedFile`` that an array lies in was written into since it was opened."""
    owner = _file_of(array)
    return owner is None or owner.is_intact


def _file_of(array: Array) -> MappedFile | None:
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return owner if isinstance(owner, MappedFile) else None
