"""`--data csv:FILE`: a list of pictures and what they show.

    path,label                          path,label,left,top,right,bottom,split
    cats/1.jpg,cat                      street/1.jpg,car,12,40,310,200,train
    dogs/7.jpg,dog                      street/1.jpg,person,320,60,360,190,train

The first line names the columns where it has `path` and `label`; without it the first two columns are those.
Paths are relative to the list and stay below it. `split` says `train` or `test`; without it a fifth is set
aside by the names. A line a thing: with boxes (in pixels, edges counted from 0) a picture may have several.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netdsl.data.annotated_files import Entry, Left, data_of, inside, read_text, set_aside
from netdsl.data.annotation import MAX_CLASSES, Box, Instance
from netdsl.data.base import Data
from netdsl.diagnostics import Code, ResourceLimit, UserError
from netdsl.source import Source, Span

MAX_BYTES = 256 << 20
MAX_ROWS = 5_000_000
MAX_LABEL = 200

_BOX = ("left", "top", "right", "bottom")
_PARTS = {"train": True, "training": True, "test": False, "val": False, "valid": False, "validation": False}


@dataclass(frozen=True)
class _Row:
    name: str
    label: str
    box: Box | None
    train: bool | None
    line: Span


def csv_list(path: Path, *, strict: bool = False) -> Data:
    """Raises UserError pointing at the line at fault."""
    rows = _rows(Source(str(path), read_text(path, MAX_BYTES)))
    classes = _classes(rows)
    numbers = {name: number for number, name in enumerate(classes)}
    by_name: dict[str, list[_Row]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    left, parts = Left(), _Parts([], [], [])
    for things in by_name.values():
        _add(path.parent, things, numbers, left, parts)
    train, test = (parts.train, parts.test) if parts.train or parts.test else set_aside(parts.unsaid)
    return data_of(f"csv:{path}", path, classes, (train, test), left=left, strict=strict, masks=False)


@dataclass
class _Parts:
    train: list[Entry]
    test: list[Entry]
    unsaid: list[Entry]


def _add(root: Path, rows: list[_Row], numbers: Mapping[str, int], left: Left, parts: _Parts) -> None:
    """One picture's lines."""
    first = rows[0]
    for row in rows[1:]:
        if row.box is None or first.box is None:
            raise _wrong(row.line, f"`{row.name}` stands here again", "only things with boxes can share a picture")
        if row.train != first.train:
            raise _wrong(row.line, f"`{row.name}` is in both parts", "a picture is for training or for testing")
    file = inside(root, first.name)
    if file is None:
        raise _wrong(first.line, f"the path `{first.name}` leads out of `{root}`", "paths are relative to the list")
    size = left.readable(file)
    if size is None:
        return
    things = tuple(Instance(numbers[row.label], _fitted(row, size)) for row in rows)
    kept = parts.unsaid if first.train is None else parts.train if first.train else parts.test
    kept.append(Entry(file, things))


def _fitted(row: _Row, size: tuple[int, int]) -> Box:
    height, width = size
    if row.box is None:
        return 0.0, 0.0, float(width), float(height)
    if row.box[2] > width or row.box[3] > height:
        raise _wrong(row.line, f"the box ends outside of the picture, which is {width} wide and {height} high")
    return row.box


def _rows(source: Source) -> list[_Row]:
    reader = csv.reader(source.text.splitlines(keepends=True))
    columns: list[str] | None = None
    rows: list[_Row] = []
    before = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _wrong(_line(source, before + 1), f"this is no line of a table: {error}") from error
        if cells is None:
            break
        line, before = _line(source, before + 1), reader.line_num
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if columns is None:
            columns = [cell.lower() for cell in cells]
            if "path" in columns and "label" in columns:
                continue
            columns = ["path", "label"]
        if len(rows) == MAX_ROWS:
            raise ResourceLimit.of(Code.LIMIT_SIZE, f"`{source.name}` has more than {MAX_ROWS} lines", line)
        rows.append(_row(dict(zip(columns, cells, strict=False)), line))
    if not rows:
        raise UserError.of(Code.DATA_EMPTY, f"`{source.name}` lists no pictures")
    return rows


def _row(cells: Mapping[str, str], line: Span) -> _Row:
    label = cells.get("label", "")
    if not cells.get("path") or not label:
        raise _wrong(line, "a line has a path and a label", "such as `cats/1.jpg,cat`")
    if len(label) > MAX_LABEL:
        raise _wrong(line, f"the label is longer than {MAX_LABEL} characters")
    part = cells.get("split", "").lower()
    if part and part not in _PARTS:
        raise _wrong(line, f"`split` is `train` or `test`, found `{part}`")
    return _Row(cells["path"], label, _box(cells, line), _PARTS.get(part), line)


def _box(cells: Mapping[str, str], line: Span) -> Box | None:
    words = [cells.get(name, "") for name in _BOX]
    if not any(words):
        return None
    try:
        left, top, right, bottom = map(float, words)
    except ValueError:
        raise _wrong(line, f"a box has four numbers: {', '.join(_BOX)}") from None
    if not all(map(math.isfinite, (left, top, right, bottom))) or not (0 <= left < right and 0 <= top < bottom):
        raise _wrong(line, "a box has a left edge left of its right one, and a top above its bottom, from 0 on")
    return left, top, right, bottom


def _classes(rows: list[_Row]) -> tuple[str, ...]:
    """In the order of numbers where all are whole numbers, else of the alphabet."""
    names = sorted({row.label for row in rows})
    if all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        names.sort(key=int)
    boxed = next((row for row in rows if row.box is not None), None)
    if boxed is not None and len(names) > MAX_CLASSES:
        raise ResourceLimit.of(Code.LIMIT_SIZE, f"{len(names)} classes of things; at most {MAX_CLASSES}", boxed.line)
    return tuple(names)


def _line(source: Source, number: int) -> Span:
    number = max(1, min(number, len(source.line_starts)))
    start = source.line_starts[number - 1]
    return source.span(start, start + max(1, len(source.line_text(number))))


def _wrong(line: Span, title: str, help: str | None = None) -> UserError:
    return UserError.of(Code.DATA_UNREADABLE, title, line, help=help)
