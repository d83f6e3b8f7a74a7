"""`--data voc:DIR` and `voc-masks:DIR`: pictures with boxes, or a class a pixel, in the layout of PASCAL VOC.

    DIR/JPEGImages/NAME.jpg   Annotations/NAME.xml   ImageSets/Main/train.txt, val.txt
    for voc-masks: ImageSets/Segmentation/train.txt, val.txt   SegmentationClass/NAME.png

Source: Everingham and Winn, "The PASCAL VOC challenge 2012 development kit". Boxes there count pixels from 1,
both ends included; here edges count from 0, so left and top are one less. `train` is trained on, `val` tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netdsl.data.annotated_files import Entry, Left, data_of, read_text, set_aside
from netdsl.data.annotation import MAX_CLASSES, VOID, Instance
from netdsl.data.base import Data, IntArray
from netdsl.data.picture import SUFFIXES, read_indices
from netdsl.data.plain_xml import Element, read_xml
from netdsl.diagnostics import Code, ResourceLimit, UserError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""Those of VOC. Annotations that have others get all their own, sorted."""

MAX_LIST_BYTES = 64 << 20
MAX_PICTURES = 1_000_000
MAX_NAME = 200


@dataclass(frozen=True)
class Thing:
    """An `<object>`: its class by name, its box in edges from 0, and whether it is difficult."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool
    element: Element


def voc(folder: Path, *, masks: bool = False, strict: bool = False) -> Data:
    """Raises UserError pointing at the file and line at fault."""
    root = _root(folder)
    lists = _lists(root, "Segmentation" if masks else "Main")
    things = {name: _things(root, name, optional=masks) for part in lists for name in part}
    classes = _classes(things.values())
    left = Left()
    parts = [[entry for name in part if (entry := _entry(root, name, things[name], classes, left, masks))]
             for part in lists]  # fmt: skip
    train, test = parts if len(parts) == 2 else set_aside(parts[0])
    kind = "voc-masks" if masks else "voc"
    return data_of(f"{kind}:{folder}", folder, classes, (train, test), left=left, strict=strict, masks=masks)


def _things(root: Path, name: str, *, optional: bool) -> list[Thing]:
    path = _file(root, "Annotations", name, ".xml")
    return [] if optional and not path.is_file() else read_annotation(path)


def read_annotation(path: Path) -> list[Thing]:
    """The things that one file of `Annotations` names. Raises UserError pointing at the line at fault."""
    top = read_xml(path)
    if top.name != "annotation":
        raise top.wrong(f"`<{top.name}>` where `<annotation>` was expected")
    return [_thing(element) for element in top.all("object")]


def _thing(element: Element) -> Thing:
    name, box = element.word("name"), element.one("bndbox")
    if not 0 < len(name) <= MAX_NAME:
        raise element.wrong("the name of an object is empty or too long")
    left, top, right, bottom = (box.number(side) for side in ("xmin", "ymin", "xmax", "ymax"))
    edges = (max(0.0, left - 1), max(0.0, top - 1), right, bottom)
    if not (edges[0] < right and edges[1] < bottom):
        raise box.wrong(f"the box of `{name}` has no area")
    return Thing(name, edges, element.word("difficult", "0") == "1", element)


def _root(folder: Path) -> Path:
    """The folder itself, or the one that the published archive unpacks to."""
    if not folder.is_dir():
        raise UserError.of(Code.DATA_NOT_FOUND, f"`{folder}` is not a folder")
    for place in (folder, folder / "VOCdevkit"):
        for root in (place, *sorted(place.glob("VOC20[0-9][0-9]"), reverse=True)):
            if (root / "Annotations").is_dir() and (root / "JPEGImages").is_dir():
                return root
    raise UserError.of(
        Code.DATA_NOT_FOUND,
        f"`{folder}` has no `Annotations` and `JPEGImages`",
        help="VOC data are a folder such as VOCdevkit/VOC2012, with Annotations, JPEGImages and ImageSets",
    )


def _lists(root: Path, kind: str) -> list[list[str]]:
    """Names of the training and of the test pictures; one list where the folder has no lists."""
    folder = root / "ImageSets" / kind
    train, test = folder / "train.txt", next((folder / f"{name}.txt" for name in ("val", "test")
                                              if (folder / f"{name}.txt").is_file()), folder / "val.txt")  # fmt: skip
    if not train.is_file() and not test.is_file() and not folder.is_dir():
        place = root / ("Annotations" if kind == "Main" else "SegmentationClass")
        return [_limited(root, sorted(file.stem for file in place.glob("*") if file.suffix in (".xml", ".png")))]
    return [_listed(root, train), _listed(root, test)]


def _listed(root: Path, path: Path) -> list[str]:
    names = [line.split()[0] for line in read_text(path, MAX_LIST_BYTES).splitlines() if line.strip()]
    for name in names:
        if not re.fullmatch(r"[\w][\w.() -]{0,199}", name):
            raise UserError.of(Code.DATA_UNREADABLE, f"`{path}` lists `{name[:80]}`, which is no name of a picture")
    return _limited(root, list(dict.fromkeys(names)))


def _limited(root: Path, names: list[str]) -> list[str]:
    if len(names) > MAX_PICTURES:
        raise ResourceLimit.of(Code.LIMIT_SIZE, f"`{root}` has more than {MAX_PICTURES} pictures")
    return names


def _classes(annotations: Iterable[list[Thing]]) -> tuple[str, ...]:
    found = {thing.name for things in annotations for thing in things}
    if found <= set(CLASSES):
        return CLASSES
    if len(found) > MAX_CLASSES:
        raise ResourceLimit.of(Code.LIMIT_SIZE, f"{len(found)} classes; at most {MAX_CLASSES}")
    return tuple(sorted(found))


def _entry(
    root: Path, name: str, things: list[Thing], classes: tuple[str, ...], left: Left, masks: bool
) -> Entry | None:
    path = _file(root, "JPEGImages", name, *sorted(SUFFIXES, key=lambda suffix: suffix != ".jpg"))
    size = left.readable(path)
    if size is None:
        return None
    instances = tuple(
        Instance(classes.index(thing.name), _within(thing, size), hard=thing.difficult) for thing in things
    )
    if not masks:
        return Entry(path, instances)
    mask = _file(root, "SegmentationClass", name, ".png")
    if left.readable(mask) is None:
        return None
    return Entry(path, instances, lambda: read_classes(mask, len(classes), size))


def _within(thing: Thing, size: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = size
    if thing.box[2] > width + 1 or thing.box[3] > height + 1:
        raise thing.element.wrong(
            f"the box of `{thing.name}` ends outside of the picture, which is {width} wide and {height} high"
        )
    return thing.box[0], thing.box[1], min(thing.box[2], float(width)), min(thing.box[3], float(height))


def read_classes(path: Path, classes: int, size: tuple[int, int]) -> IntArray:
    """A file of `SegmentationClass` as [H, W]. Raises UserError for other sizes and unknown classes."""
    numbers = read_indices(path)
    if numbers.shape != size:
        raise UserError.of(
            Code.DATA_UNREADABLE,
            f"`{path}` is {numbers.shape[1]}x{numbers.shape[0]}, its picture {size[1]}x{size[0]}",
        )
    wrong = numbers[(numbers > classes) & (numbers != VOID)]
    if wrong.size:
        raise UserError.of(Code.DATA_LABELS, f"`{path}` has the class {wrong[0]}; there are {classes} and the ground")
    return numbers.astype(np.int64)


def _file(root: Path, folder: str, name: str, *suffixes: str) -> Path:
    """The first file of that name that there is; the first name if there is none."""
    paths = [root / folder / f"{name}{suffix}" for suffix in suffixes]
    return next((path for path in paths if path.is_file()), paths[0])
