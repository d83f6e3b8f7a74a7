"""What is in a data set: how many pictures of which classes, and a sheet of some of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdsl.data.annotation import Annotated, Instance
from netdsl.data.base import Data, Float32Array, Split
from netdsl.data.resize import resize
from netdsl.data.targets import offered

LOOKED_AT = 1000
"""Pictures whose things are counted."""

TILE = 128
_GAP = 4
_SHADE = 0.35
_COLOURS = ((228, 26, 28), (55, 126, 184), (77, 175, 74), (152, 78, 163), (255, 127, 0), (255, 255, 51), (166, 86, 40))
"""ColorBrewer's Set1, without its grey and its pink."""


@dataclass(frozen=True)
class Part:
    """``counts`` are of pictures a class, or of things a class in the first ``looked_at`` pictures."""

    name: str
    pictures: int
    shape: tuple[int, ...]
    counts: tuple[int, ...]
    looked_at: int
    things: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "part": self.name,
            "pictures": self.pictures,
            "first": list(self.shape),
            "of": "things" if self.things else "pictures",
            "looked_at": self.looked_at,
            "counts": list(self.counts),
        }


def summary(data: Data) -> tuple[Part, Part]:
    """The training and the test part."""
    return _part("train", data.train, len(data.classes)), _part("test", data.test, len(data.classes))


def _part(name: str, split: Split, classes: int) -> Part:
    shape = split.image(0).shape
    things = "class" not in offered(split) and isinstance(split, Annotated)
    looked_at = min(len(split), LOOKED_AT) if things else len(split)
    if things and isinstance(split, Annotated):
        labels = [thing.label for index in range(looked_at) for thing in split.instances(index)]
        counts = np.bincount(np.array(labels, dtype=np.int64), minlength=classes)
    elif "class" in offered(split):
        counts = np.bincount(split.targets, minlength=classes)
    else:
        counts = np.zeros(0, dtype=np.int64)
    return Part(name, len(split), shape, tuple(counts.tolist()), looked_at, things)


def sheet(data: Data, split: Split, rows: int, columns: int) -> bytes:
    """A PNG file of the first rows x columns pictures, with boxes, masks and class names where there are any."""
    from PIL import Image

    step = TILE + _GAP
    page = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), (255, 255, 255))
    for place in range(min(rows * columns, len(split))):
        row, column = divmod(place, columns)
        page.paste(_tile(data, split, place), (_GAP + column * step, _GAP + row * step))
    stream = io.BytesIO()
    page.save(stream, format="PNG")
    return stream.getvalue()


def _tile(data: Data, split: Split, index: int) -> Any:
    from PIL import Image, ImageDraw

    image = split.image(index)
    things = split.instances(index) if isinstance(split, Annotated) else ()
    image = _tinted(image, things)
    scale = TILE / max(image.shape[1:])
    height, width = (max(1, round(size * scale)) for size in image.shape[1:])
    shown = np.rint(np.clip(resize(image, height, width), 0, 1) * 255).astype(np.uint8)
    tile = Image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0)))
    draw = ImageDraw.Draw(tile)
    for thing in things:
        colour = _COLOURS[thing.label % len(_COLOURS)]
        left, top, right, bottom = (value * scale for value in thing.box)
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour)
        draw.text((left + 2, top + 1), data.classes[thing.label], fill=colour)
    if not things and "class" in offered(split):
        draw.text((3, 2), data.classes[int(split.targets[index])], fill=_COLOURS[0])
    return tile


def _tinted(image: Float32Array, things: tuple[Instance, ...]) -> Float32Array:
    """[3, H, W], masked pixels in part of their class's colour."""
    result = np.repeat(image, 3, axis=0) if len(image) == 1 else image.copy()
    for thing in things:
        if thing.mask is not None:
            mask = thing.mask.raster(*image.shape[1:])
            colour = np.array(_COLOURS[thing.label % len(_COLOURS)], dtype=np.float32)[:, None] / 255
            result[:, mask] = (1 - _SHADE) * result[:, mask] + _SHADE * colour
    return result
