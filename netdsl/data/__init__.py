"""Data sets: real samples in, batches of arrays out."""

from __future__ import annotations

from pathlib import Path

from netdsl.data.base import ArraySplit, Data, Split
from netdsl.data.prepare import Preparation
from netdsl.diagnostics import Code, UserError, suggest

__all__ = ["ArraySplit", "Data", "Preparation", "Split", "open_data"]

KINDS = ("digits", "idx:DIR", "folder:DIR")


def open_data(name: str, *, strict: bool = False) -> Data:
    """Open what ``--data`` names: ``digits``, ``idx:DIR`` or ``folder:DIR``.

    ``strict`` makes a file that cannot be read an error instead of a warning. Raises UserError.
    """
    kind, _, place = name.partition(":")
    if name == "digits":
        from netdsl.data.digits import digits

        return digits()
    if kind == "idx" and place:
        from netdsl.data.idx import idx

        return idx(Path(place))
    if kind == "folder" and place:
        from netdsl.data.folder import folder

        return folder(Path(place), strict=strict)
    close = suggest(kind, ("digits", "idx", "folder"))
    likely = next((known for known in KINDS if close and known.startswith(close)), None)
    raise UserError.of(
        Code.DATA_NOT_FOUND,
        f"unknown data `{name}`",
        notes=(f"data are one of {', '.join(f'`{known}`' for known in KINDS)}",),
        help=f"did you mean `{likely}`?" if likely else None,
    )
