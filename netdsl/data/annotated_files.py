"""Picture files with what is in them; shared by CSV lists, VOC and COCO."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from netdsl.data.annotation import Annotated, Instance, paint
from netdsl.data.base import Data, Float32Array, IntArray
from netdsl.data.picture import picture_size, read_picture
from netdsl.data.targets import Kind
from netdsl.diagnostics import Code, Diagnostic, Level, ResourceLimit, UserError

TEST_SHARE = 0.2
MAX_NAMED = 5


@dataclass(frozen=True)
class Entry:
    """A picture file, its things, and where its class a pixel is read from (None: painted from the masks)."""

    path: Path
    things: tuple[Instance, ...]
    read_pixels: Callable[[], IntArray] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class AnnotatedFiles(Annotated):
    """``classified``: each picture shows one thing, whose class is the picture's. ``masks``: what is where is
    known for every pixel. A picture is decoded whenever it is asked for."""

    entries: tuple[Entry, ...]
    classified: bool = False
    masks: bool = False

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def offers(self) -> frozenset[Kind]:
        kinds: dict[Kind, bool] = {
            "class": self.classified,
            "pixels": self.masks,
            "box": all(entry.things for entry in self.entries),
        }
        return frozenset(kind for kind, there in kinds.items() if there)

    @cached_property
    def void(self) -> bool:
        return any(e.read_pixels is not None or any(thing.hard for thing in e.things) for e in self.entries)

    def image(self, index: int) -> Float32Array:
        return read_picture(self.entries[index].path)

    def size(self, index: int) -> tuple[int, int]:
        return picture_size(self.entries[index].path)

    def instances(self, index: int) -> tuple[Instance, ...]:
        return self.entries[index].things

    def pixels(self, index: int) -> IntArray:
        entry = self.entries[index]
        if entry.read_pixels is not None:
            return entry.read_pixels()
        return paint(entry.things, *self.size(index))

    @cached_property
    def targets(self) -> IntArray:
        """[N] class numbers. Raises UserError where pictures show several things, or none."""
        if not self.classified:
            raise UserError.of(Code.DATA_LABELS, "the pictures have things in them, but no class of their own")
        return np.array([entry.things[0].label for entry in self.entries], dtype=np.int64)


@dataclass
class Left:
    """Pictures that are left out, to be told in one warning."""

    names: list[str] = field(default_factory=list)

    def readable(self, path: Path) -> tuple[int, int] | None:
        """Height and width of a picture by the head of its file; None, and noted, if it can't be read."""
        try:
            return picture_size(path)
        except UserError as error:
            self.names.append(error.diagnostics[0].title)
            return None

    def warnings(self, place: Path, strict: bool) -> tuple[Diagnostic, ...]:
        """Raises UserError if ``strict`` and there are any."""
        if not self.names:
            return ()
        notes = (*self.names[:MAX_NAMED],)
        if len(self.names) > MAX_NAMED:
            notes += (f"and {len(self.names) - MAX_NAMED} more",)
        title = f"{len(self.names)} pictures of `{place}` are left out"
        if strict:
            raise UserError.of(Code.DATA_UNREADABLE, title, notes=notes)
        return (Diagnostic(Code.DATA_UNREADABLE, Level.WARNING, title, notes=notes),)


def data_of(
    name: str,
    place: Path,
    classes: tuple[str, ...],
    parts: tuple[Sequence[Entry], Sequence[Entry]],
    *,
    left: Left,
    strict: bool,
    masks: bool,
) -> Data:
    """The data set of two parts. Raises UserError if one is empty, or ``strict`` and something is left out."""
    warnings = left.warnings(place, strict)
    for part, entries in zip(("training", "test"), parts, strict=True):
        if not entries:
            notes = tuple(left.names[:MAX_NAMED])
            raise UserError.of(Code.DATA_EMPTY, f"`{place}` gives no readable {part} pictures", notes=notes)
    single = all(len(entry.things) == 1 for entries in parts for entry in entries)
    train, test = (AnnotatedFiles(tuple(entries), single, masks) for entries in parts)
    return Data(name, classes, train, test, "cover" if single and not masks else "stretch", warnings=warnings)


def set_aside(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Training and test part: a fifth, those whose SHA-256 of the file's name is smallest."""
    count = max(1, round(len(entries) * TEST_SHARE)) if len(entries) >= 2 else 0
    keys = [hashlib.sha256(entry.path.name.encode(errors="surrogateescape")).digest() for entry in entries]
    chosen = set(sorted(range(len(entries)), key=lambda place: (keys[place], place))[:count])
    train = [entry for place, entry in enumerate(entries) if place not in chosen]
    return train, [entry for place, entry in enumerate(entries) if place in chosen]


def read_text(path: Path, most: int) -> str:
    """A text file in UTF-8. Raises UserError naming it if it is missing, too large or no text."""
    if not path.is_file():
        raise UserError.of(Code.DATA_NOT_FOUND, f"there is no file `{path}`")
    try:
        size = path.stat().st_size
        if size > most:
            raise ResourceLimit.of(Code.LIMIT_SIZE, f"`{path}` has {size} bytes; at most {most} are read")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError.of(Code.DATA_UNREADABLE, f"`{path}` is not text in UTF-8: byte {error.start}") from error
    except OSError as error:
        raise UserError.of(Code.DATA_UNREADABLE, f"`{path}` could not be read: {error}") from error


def inside(root: Path, name: str) -> Path | None:
    """The file ``name`` below ``root``; None if the name or a link leads out of it."""
    if not name or "\0" in name or Path(name).is_absolute():
        return None
    try:
        path = (root / name).resolve()
    except (OSError, RuntimeError):
        return None
    return path if path.is_relative_to(root.resolve()) else None
