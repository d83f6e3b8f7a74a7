"""The figure of ``netdsl report --receptive-field``: what one unit of a layer sees, drawn over the input."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.analysis.receptive import number_text
from netdsl.analysis.unit import Seen, UnitField
from netdsl.report.figure.primitives import Circle, Figure, Line, Picture, Point, Polygon, Text, rectangle
from netdsl.report.summary import sizes

LONGEST = 400.0
"""The longer side of the input with what the field takes of the padding, in points."""
MAP = 110.0
"""The longer side of the layer's map."""
MARGIN, GAP, TITLE, FONT = 44.0, 70.0, 58.0, 10.0
INK, SOFT, HOT, GRID, GROUND = "#1f2933", "#5b6570", "#d9480f", "#c3ccd6", "#eef1f5"
FINEST = 64
"""Inputs up to this size have a line at every pixel; larger ones at every 8th, 16th, 32nd, ..."""


@dataclass(frozen=True)
class _Frame:
    """Pixels of the input to points: pixel edges, so pixel p takes from p to p + 1."""

    left: float
    top: float
    scale: float
    origin: Point

    def at(self, x: float, y: float) -> Point:
        return self.origin[0] + (x - self.left) * self.scale, self.origin[1] + (y - self.top) * self.scale


def field_figure(found: UnitField, picture: bytes | None) -> Figure:
    """Draw the field over ``picture`` (a PNG of the input's size), or over a grid."""
    left, right = _reach(found.cols)
    top, bottom = _reach(found.rows)
    scale = LONGEST / max(right - left, bottom - top)
    frame = _Frame(left, top, scale, (MARGIN, TITLE))
    result = Figure(f"Receptive field of {found.name}")
    end = frame.at(right, bottom)
    result.width, result.height = end[0] + MARGIN, end[1] + MARGIN
    _input(result, found, frame, picture)
    corners = _field(result, found, frame)
    if found.at is not None:
        _map(result, found, found.at, corners, (end[0], (TITLE + end[1]) / 2))
    _title(result, found)
    return result


def _reach(seen: Seen) -> tuple[float, float]:
    """Pixel edges around the input and the field."""
    return min(0.0, float(seen.low)), max(float(seen.length), float(seen.high) + 1)


def _input(result: Figure, found: UnitField, frame: _Frame, picture: bytes | None) -> None:
    height, width = found.rows.length, found.cols.length
    border = rectangle(*frame.at(0, 0), *frame.at(width, height))
    if picture is not None:
        result.shapes.append(Picture(frame.at(0, 0), width * frame.scale, height * frame.scale, picture))
    else:
        result.shapes.append(Polygon(border, GROUND, GROUND, 0))
        step = 1
        while max(height, width) / step > FINEST:
            step = max(8, 2 * step)
        for x in range(step, width, step):
            result.shapes.append(Line((frame.at(x, 0), frame.at(x, height)), GRID, 0.5))
        for y in range(step, height, step):
            result.shapes.append(Line((frame.at(0, y), frame.at(width, y)), GRID, 0.5))
    result.shapes.append(Line((*border, border[0]), INK, 1.0))


def _field(result: Figure, found: UnitField, frame: _Frame) -> tuple[Point, Point]:
    """The face, its centre and the pixels at its ends; returns its right corners."""
    rows, cols = found.rows, found.cols
    start = frame.at(float(cols.low), float(rows.low))
    end = frame.at(float(cols.high) + 1, float(rows.high) + 1)
    result.shapes.append(Polygon(rectangle(*start, *end), HOT, HOT, 1.6, opacity=0.25))
    if found.at is not None:
        result.shapes.append(Circle(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), 2.4, HOT, HOT))
    below = frame.at(0, _reach(rows)[1])[1] + 14
    aside = frame.at(_reach(cols)[0], 0)[0] - 6
    for x, number in _ends(start[0], end[0], cols):
        result.shapes.append(Text((x, below), number, FONT, HOT))
    for y, number in _ends(start[1], end[1], rows):
        result.shapes.append(Text((aside, y + 3.5), number, FONT, HOT, "end"))
    return (end[0], start[1]), end


def _ends(start: float, end: float, seen: Seen) -> list[tuple[float, str]]:
    """Where the first and last position are written; one where there is no room for two."""
    first, last = number_text(seen.low), number_text(seen.high)
    if end - start < 26:
        return [((start + end) / 2, first if first == last else f"{first}..{last}")]
    return [(start, first), (end, last)]


def _map(result: Figure, found: UnitField, at: tuple[int, int], corners: tuple[Point, Point], beside: Point) -> None:
    """The layer's map at the right, with the unit in it and lines to what it sees."""
    rows, columns = found.value.type.shape[1:]
    scale = MAP / max(rows, columns)
    left, top = beside[0] + GAP, beside[1] - rows * scale / 2
    result.width = left + columns * scale + MARGIN
    result.shapes.append(Polygon(rectangle(left, top, left + columns * scale, top + rows * scale), GROUND, INK, 1.0))
    x, y = left + (at[1] + 0.5) * scale, top + (at[0] + 0.5) * scale
    half = max(1.5, scale / 2)
    for corner, side in zip(corners, (-half, half), strict=True):
        result.shapes.append(Line((corner, (x - half, y + side)), HOT, 0.8))
    result.shapes.append(Polygon(rectangle(x - half, y - half, x + half, y + half), HOT, HOT, 0.5))
    middle, below = left + columns * scale / 2, top + rows * scale + 15
    result.shapes.append(Text((middle, below), f"{sizes(found.value.type.shape)}, unit ({at[0]}, {at[1]})", FONT, SOFT))


def _title(result: Figure, found: UnitField) -> None:
    rows, cols = found.axes
    name = f"{found.name} ({found.value.node.op})" if found.name != found.value.node.op else found.name
    extents = f"rows {_span(rows)}, columns {_span(cols)} of {found.input.name} {sizes(found.input.types[0].shape)}"
    result.shapes.append(Text((MARGIN, 24), name, 13, INK, "start"))
    result.shapes.append(Text((MARGIN, 41), f"sees {extents}", FONT, SOFT, "start"))
    result.width = max(result.width, 2 * MARGIN + 0.58 * FONT * len(extents) + 30)


def _span(seen: Seen) -> str:
    return f"{number_text(seen.low)} to {number_text(seen.high)}"
