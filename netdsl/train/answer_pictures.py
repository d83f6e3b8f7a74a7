"""Pictures of what a net answered: the confusion matrix, and the worst mistakes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.data.base import Split
from netdsl.data.resize import resize
from netdsl.train.answers import Answers, Mistake

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

WORST, COLUMNS = 24, 6
"""Mistakes in a picture, and in a row of it."""
_SIDE, _CAPTION, _GAP = 112, 32, 8
_INK, _GREY, _PAPER, _WRONG, _RIGHT = "#1b1f24", "#57606a", (255, 255, 255), (188, 76, 0), (9, 105, 218)
_MOST_PIXELS, _LEAST_CELL, _MOST_CELL, _LEGIBLE = 900, 2, 44, 16


def confusion_picture(answers: Answers) -> bytes:
    """A PNG file: rows are true classes, columns what they were taken for; blue is right, orange is wrong, the darker
    the larger its share of the row. Classes are named, and counts written, where there is room."""
    from PIL import Image, ImageDraw

    counts = answers.confusion
    cell = max(_LEAST_CELL, min(_MOST_CELL, _MOST_PIXELS // len(counts)))
    legible = cell >= _LEGIBLE
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    names = [_short(name) for name in answers.names]
    width = max(int(measure.textlength(name, font=_font(12))) for name in names) if legible else 0
    left = top = width + 44
    picture = Image.new("RGB", (left + cell * len(counts) + 16, top + cell * len(counts) + 16), _PAPER)
    pixels = np.kron(_shades(counts), np.ones((cell, cell, 1), dtype=np.uint8))
    picture.paste(Image.fromarray(pixels), (left, top))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 1, top - 1, left + cell * len(counts), top + cell * len(counts)), outline=_GREY)
    _text(draw, (left, 8), "taken for", 14, "la")
    _upright(picture, (8, top), "true class", 14)
    if legible:
        for number, name in enumerate(names):
            middle = number * cell + cell // 2
            _text(draw, (left - 6, top + middle), name, 12, "rm")
            _upright(picture, (left + middle - 7, top - 6 - width), name, 12, width)
        _write_counts(draw, counts, (left, top), cell)
    return png_file(picture)


def mistakes_picture(answers: Answers, split: Split) -> bytes | None:
    """A PNG file of the samples of ``split`` that were mistaken with the greatest confidence: what they are, what they
    were taken for, and how surely. None where there was no mistake."""
    from PIL import Image, ImageDraw

    worst = answers.worst(WORST)
    if not worst:
        return None
    columns, rows = min(COLUMNS, len(worst)), -(-len(worst) // COLUMNS)
    across, down = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    picture = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), _PAPER)
    draw = ImageDraw.Draw(picture)
    for place, mistake in enumerate(worst):
        row, column = divmod(place, COLUMNS)
        corner = (_GAP + column * across, _GAP + row * down)
        picture.paste(_tile(split, mistake), corner)
        below = corner[1] + _SIDE + 2
        true, taken = (_short(answers.names[number]) for number in (mistake.true, mistake.taken))
        _text(draw, (corner[0], below), f"{true} (no. {mistake.index})", 12, "la")
        _text(draw, (corner[0], below + 14), f"as {taken}, {100 * mistake.probability:.0f}%", 12, "la", _WRONG)
    return png_file(picture)


def _tile(split: Split, mistake: Mistake) -> Image.Image:
    """The sample's picture, fitted into a grey square."""
    from PIL import Image

    image = split.image(mistake.index)
    image = np.repeat(image, 3, axis=0) if len(image) == 1 else image
    scale = _SIDE / max(image.shape[1:])
    height, width = (max(1, round(size * scale)) for size in image.shape[1:])
    shown = np.rint(np.clip(resize(image, height, width), 0, 1) * 255).astype(np.uint8)
    tile = Image.new("RGB", (_SIDE, _SIDE), (225, 228, 232))
    tile.paste(Image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0))), ((_SIDE - width) // 2, 0))
    return tile


def _shades(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[classes, classes, 3]: white where nothing is, full colour for a whole row."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)[:, :, None]
    colour = np.where(right, np.array(_RIGHT), np.array(_WRONG))
    strength = np.sqrt(shares)[:, :, None]  # so that single mistakes among many samples are seen
    shades: np.ndarray[Any, Any] = np.rint(255 + strength * (colour - 255.0)).astype(np.uint8)
    return shades


def _write_counts(draw: ImageDraw.ImageDraw, counts: np.ndarray[Any, Any], corner: tuple[int, int], cell: int) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row, column in np.argwhere(counts).tolist():
        text = str(counts[row, column])
        size = 12
        if draw.textlength(text, font=_font(size)) > cell - 2:
            continue
        at = (corner[0] + column * cell + cell // 2, corner[1] + row * cell + cell // 2)
        _text(draw, at, text, size, "mm", "#ffffff" if shares[row, column] > 0.25 else _INK)


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    anchor: str,
    fill: str | tuple[int, ...] = _INK,
) -> None:
    draw.text(at, text, fill=fill, font=_font(size), anchor=anchor)


def _upright(picture: Image.Image, corner: tuple[int, int], text: str, size: int, length: int | None = None) -> None:
    """Text that runs upwards, beginning ``length`` (without it, its own) below the corner."""
    from PIL import Image, ImageDraw

    own = int(ImageDraw.Draw(picture).textlength(text, font=_font(size))) + 1
    strip = Image.new("RGB", (length or own, size + 4), _PAPER)
    _text(ImageDraw.Draw(strip), (0, 0), text, size, "la")
    picture.paste(strip.transpose(Image.Transpose.ROTATE_90), corner)


def _short(name: str) -> str:
    """One line, as much of it as a tile is wide."""
    text = " ".join(name.split())
    return text if len(text) <= 14 else f"{text[:12]}..."


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def png_file(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()
