"""What installed packages register under a group of entry points, read from their metadata.

``importlib.metadata`` knows it too, with parsers for all kinds of metadata that take 30 ms to import; it is asked
only where the files on the path name nothing of the group, as when packages are installed in another way.
Format: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

METADATA = (".dist-info", ".egg-info")
FILE = "entry_points.txt"


def registered(group: str) -> dict[str, str]:
    """The objects of a group by name, each as ``module:attribute``; of one name, the first on the path."""
    found: dict[str, str] = {}
    for path in sys.path:
        found = {**dict(_in_folder(path, group)), **found}
    return found or _from_all_kinds_of_packages(group)


def _from_all_kinds_of_packages(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=group)}


def load(reference: str) -> Any:
    """The object behind ``module:attribute``. Raises ImportError, AttributeError."""
    module, _, attributes = reference.partition(":")
    found: Any = import_module(module.strip())
    for attribute in filter(None, attributes.strip().split(".")):
        found = getattr(found, attribute)
    return found


def _in_folder(path: str, group: str) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(path or os.curdir) as entries:
            folders = sorted(entry.path for entry in entries if entry.name.endswith(METADATA))
    except OSError:
        return
    for folder in folders:
        try:
            with open(os.path.join(folder, FILE), encoding="utf-8") as stream:
                yield from _in_text(stream.read(), group)
        except OSError:
            continue


def _in_text(text: str, group: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == group and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()
