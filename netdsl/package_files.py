"""Where the files lie that come with netdsl. ``importlib.resources`` answers too, but takes as long to import as all
of the parser: it is made for packages inside archives, and netdsl is installed as files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path


def folder_of(package: str) -> Path:
    """The folder of a package such as ``netdsl.zoo``."""
    return Path(next(iter(import_module(package).__path__)))
