"""`--data coco:DIR`: pictures with boxes and masks in the layout of COCO.

    DIR/annotations/instances_train2017.json, instances_val2017.json   DIR/train2017/*.jpg, DIR/val2017/*.jpg

Source: https://cocodataset.org/#format-data. Masks are polygons, or lengths of runs down the columns, plain or
in the text form of the COCO tools (numbers in groups of five bits, each but the first two less the one two
before). The files are untrusted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.data.annotated_files import Entry, Left, data_of, inside, read_text
from netdsl.data.annotation import MAX_CLASSES, Box, Instance, Mask, Polygons, Runs
from netdsl.data.base import Data
from netdsl.data.picture import MAX_PIXELS
from netdsl.diagnostics import Code, ResourceLimit, UserError

MAX_BYTES = 1 << 30
MAX_THINGS = 20_000_000
MAX_POINTS = 100_000
"""Points of the polygons, or runs, of one thing."""


@dataclass(frozen=True)
class Picture:
    """One of `images`: its file below the folder of pictures, its size, and its things."""

    file: str
    height: int
    width: int
    things: tuple[Instance, ...]


@dataclass(frozen=True)
class Annotations:
    """One file of annotations. ``numbers`` are the ids of its categories in the order of ``classes``."""

    classes: tuple[str, ...]
    numbers: tuple[int, ...]
    pictures: tuple[Picture, ...]


def coco(folder: Path, *, strict: bool = False) -> Data:
    """Raises UserError naming the file and the entry at fault."""
    if not folder.is_dir():
        raise UserError.of(Code.DATA_NOT_FOUND, f"`{folder}` is not a folder")
    files = [_file(folder, part) for part in ("train", "val")]
    train, test = (read_coco(file) for file in files)
    if (train.classes, train.numbers) != (test.classes, test.numbers):
        raise UserError.of(Code.DATA_LABELS, f"`{files[0]}` and `{files[1]}` have different categories")
    left = Left()
    parts = [_entries(folder, file, found, left) for file, found in zip(files, (train, test), strict=True)]
    return data_of(f"coco:{folder}", folder, train.classes, (parts[0], parts[1]), left=left, strict=strict, masks=True)


def read_coco(path: Path) -> Annotations:
    """One file of annotations. Raises UserError naming the entry at fault."""
    text = read_text(path, MAX_BYTES)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError.of(Code.DATA_UNREADABLE, f"`{path}` is no JSON: {error}") from error
    try:
        return _annotations(content)
    except _Refused as refusal:
        raise refusal.code_error(path) from refusal


class _Refused(Exception):
    def __init__(self, entry: str, what: str, *, limit: bool = False) -> None:
        self.entry, self.what, self.limit = entry, what, limit

    def code_error(self, path: Path) -> UserError:
        title = f"`{path}`: {self.entry} {self.what}"
        return ResourceLimit.of(Code.LIMIT_SIZE, title) if self.limit else UserError.of(Code.DATA_UNREADABLE, title)


def _annotations(content: Any) -> Annotations:
    numbers, classes = _categories(_list(content, "categories"))
    places = {number: place for place, number in enumerate(numbers)}
    pictures: dict[int, tuple[str, int, int]] = {}
    for place, item in enumerate(_list(content, "images")):
        entry = f"images[{place}]"
        height, width = _whole(item, "height", entry), _whole(item, "width", entry)
        if height < 1 or width < 1 or height * width > MAX_PIXELS:
            raise _Refused(entry, f"is {width}x{height}; up to {MAX_PIXELS} pixels are read", limit=True)
        pictures[_whole(item, "id", entry)] = (_text(item, "file_name", entry), height, width)
    things: dict[int, list[Instance]] = {number: [] for number in pictures}
    for place, item in enumerate(_list(content, "annotations")):
        entry = f"annotations[{place}]"
        of = _whole(item, "image_id", entry)
        if of not in pictures:
            raise _Refused(entry, f"is of the picture {of}, which `images` does not have")
        things[of].append(_thing(item, entry, places, pictures[of]))
    found = tuple(Picture(*pictures[number], tuple(things[number])) for number in sorted(pictures))
    return Annotations(classes, numbers, found)


def _categories(items: list[Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    names: dict[int, str] = {}
    for place, item in enumerate(items):
        entry = f"categories[{place}]"
        number = _whole(item, "id", entry)
        if number in names:
            raise _Refused(entry, f"has the id {number} of another one")
        names[number] = _text(item, "name", entry)
    if not 0 < len(names) <= MAX_CLASSES:
        raise _Refused("categories", f"has {len(names)} entries; from 1 to {MAX_CLASSES} are read", limit=True)
    numbers = tuple(sorted(names))
    return numbers, tuple(names[number] for number in numbers)


def _thing(item: Any, entry: str, places: Mapping[int, int], picture: tuple[str, int, int]) -> Instance:
    number = _whole(item, "category_id", entry)
    if number not in places:
        raise _Refused(entry, f"is of the category {number}, which `categories` does not have")
    _, height, width = picture
    crowd = item.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise _Refused(entry, "has an `iscrowd` that is neither 0 nor 1")
    return Instance(places[number], _box(item, entry, height, width), _mask(item, entry, height, width), bool(crowd))


def _box(item: Mapping[str, Any], entry: str, height: int, width: int) -> Box:
    values = _numbers(item.get("bbox"), f"{entry}.bbox")
    if len(values) != 4:
        raise _Refused(f"{entry}.bbox", "is not left, top, width, height")
    left, top = max(0.0, values[0]), max(0.0, values[1])
    right, bottom = min(float(width), values[0] + values[2]), min(float(height), values[1] + values[3])
    if values[2] < 0 or values[3] < 0 or left > right or top > bottom:
        raise _Refused(f"{entry}.bbox", f"is not inside of the picture, which is {width}x{height}")
    return left, top, right, bottom


def _mask(item: Mapping[str, Any], entry: str, height: int, width: int) -> Mask | None:
    given = item.get("segmentation")
    entry = f"{entry}.segmentation"
    if given is None or given == []:
        return None
    if isinstance(given, list):
        return _polygons(given, entry)
    if not isinstance(given, dict) or given.get("size") != [height, width]:
        raise _Refused(entry, f"is neither polygons nor runs of the size [{height}, {width}]")
    counts = given.get("counts")
    lengths = _unpacked(counts, entry) if isinstance(counts, str) else _lengths(counts, entry)
    if sum(lengths) != height * width or min(lengths) < 0:
        raise _Refused(entry, f"has runs that do not fill its {height * width} pixels")
    return Runs(height, width, np.array(lengths, dtype=np.int64))


def _polygons(given: list[Any], entry: str) -> Polygons:
    rings = []
    points = 0
    for place, ring in enumerate(given):
        values = _numbers(ring, f"{entry}[{place}]")
        points += len(values) // 2
        if len(values) < 6 or len(values) % 2 or points > MAX_POINTS:
            raise _Refused(f"{entry}[{place}]", f"is no polygon of 3 to {MAX_POINTS} points, x and y in turn")
        rings.append(np.array(values, dtype=np.float64).reshape(-1, 2))
    return Polygons(tuple(rings))


def _lengths(counts: Any, entry: str) -> list[int]:
    if not isinstance(counts, list) or not 0 < len(counts) <= MAX_POINTS:
        raise _Refused(entry, f"has no list of 1 to {MAX_POINTS} runs")
    if any(type(count) is not int or not 0 <= count <= MAX_PIXELS for count in counts):
        raise _Refused(entry, "has a run that is no whole number from 0 on")
    return list(counts)


def _unpacked(text: str, entry: str) -> list[int]:
    """Numbers in groups of five bits, lowest first; bit 5 says that more follow, bit 4 of the last is the sign."""
    lengths: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 30 or len(lengths) > MAX_POINTS:
            raise _Refused(entry, "has runs in a text that is none of the COCO tools'")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift or not lengths:
        raise _Refused(entry, "has runs in a text that ends early")
    return lengths


def _numbers(value: Any, entry: str) -> list[float]:
    if not isinstance(value, list) or len(value) > 2 * MAX_POINTS:
        raise _Refused(entry, "is no list of numbers")
    for item in value:
        if type(item) not in (int, float) or not math.isfinite(item) or abs(item) > 1e6:
            raise _Refused(entry, "has something that is no number, or far outside of the picture")
    return [float(item) for item in value]


def _list(content: Any, name: str) -> list[Any]:
    items = content.get(name) if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise _Refused(f"`{name}`", "is no list, or missing")
    if len(items) > MAX_THINGS:
        raise _Refused(f"`{name}`", f"has {len(items)} entries; up to {MAX_THINGS} are read", limit=True)
    return items


def _whole(item: Any, name: str, entry: str) -> int:
    value = item.get(name) if isinstance(item, dict) else None
    if type(value) is not int or abs(value) >= 1 << 62:
        raise _Refused(entry, f"has no whole number `{name}`")
    return value


def _text(item: Any, name: str, entry: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 1000:
        raise _Refused(entry, f"has no text `{name}`")
    return value


def _file(folder: Path, part: str) -> Path:
    found = sorted((folder / "annotations").glob(f"instances_{part}*.json"))
    if len(found) != 1:
        raise UserError.of(
            Code.DATA_NOT_FOUND,
            f"`{folder / 'annotations'}` has {len(found) or 'no'} files `instances_{part}*.json`",
            help="COCO data are annotations/instances_train2017.json and instances_val2017.json, with the pictures in "
            "train2017 and val2017",
        )
    return found[0]


def _entries(folder: Path, file: Path, found: Annotations, left: Left) -> list[Entry]:
    part = file.stem.removeprefix("instances_")
    root = next((folder / name for name in (part, f"images/{part}", "images") if (folder / name).is_dir()), None)
    if root is None:
        raise UserError.of(Code.DATA_NOT_FOUND, f"`{folder}` has no folder `{part}` with the pictures of `{file}`")
    entries = []
    for picture in found.pictures:
        path = inside(root, picture.file)
        if path is None:
            raise UserError.of(Code.DATA_UNREADABLE, f"`{file}`: `{picture.file[:80]}` leads out of `{root}`")
        size = left.readable(path)
        if size is not None and size != (picture.height, picture.width):
            left.names.append(f"`{path}` is {size[1]}x{size[0]}, its annotation {picture.width}x{picture.height}")
        elif size is not None:
            entries.append(Entry(path, picture.things))
    return entries
