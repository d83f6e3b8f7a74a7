"""Sizes of this machine's data caches, as far as the system says."""

from __future__ import annotations

import re
from pathlib import Path

_FIRST_CORE = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def cache_bytes(folder: Path = _FIRST_CORE) -> dict[int, int]:
    """Bytes by level (1, 2, 3) of the caches that the first core reads data through; unknown ones are absent."""
    sizes: dict[int, int] = {}
    for cache in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        except (OSError, UnicodeDecodeError):
            continue
        found = re.fullmatch(r"(\d{1,12})([KMG]?)", size)
        if kind in ("Data", "Unified") and level in ("1", "2", "3") and found and int(found[1]):
            sizes[int(level)] = int(found[1]) * _UNITS[found[2]]
    return sizes
