"""Data sets: real samples in, batches of arrays out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from netdsl.data.base import ArraySplit, Data, Split
from netdsl.data.prepare import Preparation
from netdsl.diagnostics import Code, UserError, suggest

__all__ = ["ArraySplit", "Data", "Preparation", "Split", "open_data"]

KINDS = (
    "digits", "shapes", "shapes:size=64,objects=3", "idx:DIR", "cifar10:DIR", "cifar100:DIR", "folder:DIR", "csv:FILE",
    "voc:DIR", "voc-masks:DIR", "coco:DIR",
)  # fmt: skip


def open_data(name: str, *, strict: bool = False) -> Data:
    """Open what ``--data`` names: one of `KINDS`.

    ``strict`` makes a file that cannot be read an error instead of a warning. Raises UserError.
    """
    kind, _, place = name.partition(":")
    if name == "digits":
        from netdsl.data.digits import digits

        return digits()
    if kind == "shapes":
        return _shapes(place)
    opener = _OPENERS.get(kind)
    if opener is not None and place:
        return opener(Path(place), strict)
    close = suggest(kind, [known.partition(":")[0] for known in KINDS])
    likely = next((known for known in KINDS if close and known.startswith(close)), None)
    raise UserError.of(
        Code.DATA_NOT_FOUND,
        f"unknown data `{name}`",
        notes=(f"data are one of {', '.join(f'`{known}`' for known in KINDS)}",),
        help=f"did you mean `{likely}`?" if likely else None,
    )


def _idx(place: Path, strict: bool) -> Data:
    from netdsl.data.idx import idx

    return idx(place)


def _cifar10(place: Path, strict: bool) -> Data:
    from netdsl.data.cifar import cifar10

    return cifar10(place)


def _cifar100(place: Path, strict: bool) -> Data:
    from netdsl.data.cifar import cifar100

    return cifar100(place)


def _folder(place: Path, strict: bool) -> Data:
    from netdsl.data.folder import folder

    return folder(place, strict=strict)


def _csv(place: Path, strict: bool) -> Data:
    from netdsl.data.csv_list import csv_list

    return csv_list(place, strict=strict)


def _voc(place: Path, strict: bool) -> Data:
    from netdsl.data.voc import voc

    return voc(place, strict=strict)


def _voc_masks(place: Path, strict: bool) -> Data:
    from netdsl.data.voc import voc

    return voc(place, masks=True, strict=strict)


def _coco(place: Path, strict: bool) -> Data:
    from netdsl.data.coco import coco

    return coco(place, strict=strict)


_OPENERS: dict[str, Callable[[Path, bool], Data]] = {
    "idx": _idx,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "folder": _folder,
    "csv": _csv,
    "voc": _voc,
    "voc-masks": _voc_masks,
    "coco": _coco,
}
"""By kind: the data at a place, and whether a file that cannot be read is an error."""


def _shapes(settings: str) -> Data:
    from netdsl.data.settings import Whole, parse
    from netdsl.data.shapes import MAX_COUNT, MAX_OBJECTS, MAX_SIZE, MIN_SIZE, shapes

    allowed = {
        "size": Whole(MIN_SIZE, MAX_SIZE),
        "train": Whole(1, MAX_COUNT),
        "test": Whole(1, MAX_COUNT),
        "objects": Whole(1, MAX_OBJECTS),
        "seed": Whole(0, 2**31 - 1),
    }
    return shapes(**parse("shapes", settings, allowed))
