"""Where this user's files that can be made again are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_directory() -> Path | None:
    """$NETDSL_CACHE_DIR, else netdsl's folder in the user's cache directory (XDG); None for nowhere.

    The variable set to nothing means nowhere. The folder need not exist.
    """
    chosen = os.environ.get("NETDSL_CACHE_DIR")
    if chosen is not None:
        return Path(chosen) if chosen else None
    if sys.platform == "darwin":
        base = "~/Library/Caches"
    elif sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(base).expanduser()
    return path / "netdsl" if path.is_absolute() else None
