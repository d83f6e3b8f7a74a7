"""The architecture figure.

Maps are slabs: height and depth tell their resolution, thickness their channels. Vectors are bars, sums and products
circles, folded blocks slabs of three layers; an activation is a band at the end of the slab it follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.ir.graph import Graph
from netdsl.report.figure.parts import Box, Diagram, diagram
from netdsl.report.figure.place import Extent, Places, places
from netdsl.report.figure.primitives import Circle, Figure, Line, Point, Polygon, Text, bounds, curve, moved, text_width

TALLEST, THICKEST, SKEW = 120.0, 34.0, 0.34
FONT, LINE = 9.0, 11.5
MARGIN = 18.0
INK, SOFT, ARROW = "#1f2933", "#5b6570", "#6b7683"
ROUND = {"add": "+", "mul": "×"}
COLORS = {
    "input": "#cfd6de", "conv": "#f3c969", "deconv": "#7fc8a9", "upsample": "#7fc8a9", "maxpool": "#e58e73",
    "avgpool": "#e58e73", "fc": "#a98bd6", "local": "#e0b35a", "block": "#8fb4e3", "concat": "#b9d98b",
    "add": "#ffffff", "mul": "#ffffff",
}  # fmt: skip
OTHER = "#dfe4ea"
ACTIVATIONS = frozenset(("relu", "leaky_relu", "prelu", "sigmoid", "tanh"))
ACTIVATED = "#e8a05c"
"""The band at the end of what an activation follows."""
BAND = 0.24
"""Its part of the thickness."""
WORDS = {
    "conv": "convolution", "deconv": "transposed convolution", "upsample": "upsampling", "maxpool": "pooling",
    "avgpool": "pooling", "fc": "fully connected", "local": "locally connected", "block": "block",
    "concat": "concatenation",
}  # fmt: skip


@dataclass(frozen=True)
class Slab:
    """A box's body in points: thickness, height, and the offset of its far side."""

    thickness: float
    height: float
    depth: float


def figure(graph: Graph, depth: int | None = None) -> Figure:
    """Draw ``graph`` with blocks open down to ``depth`` levels (None: as many as fit a page)."""
    found = diagram(graph, depth)
    slabs = _slabs(found.boxes)
    room = [_room(box, slab) for box, slab in zip(found.boxes, slabs, strict=True)]
    spots = places(found, room)
    result = Figure(f"Architecture of {graph.name}")
    _arrows(result, found, slabs, spots)
    for number, (box, slab) in enumerate(zip(found.boxes, slabs, strict=True)):
        center = spots.left[number] + spots.widths[number] / 2
        _box(result, box, slab, center, spots.middle[number])
    _legend(result, found.boxes)
    _frame(result)
    return result


# -- sizes -------------------------------------------------------------------------------------------


def _slabs(boxes: Sequence[Box]) -> list[Slab]:
    maps = [box.shape for box in boxes if _is_map(box)]
    longest = max((max(shape[1:]) for shape in maps), default=1)
    channels = max((shape[0] for shape in maps), default=1)
    features = max((math.prod(box.shape) for box in boxes if not _is_map(box)), default=1)
    return [_slab(box, longest, channels, features) for box in boxes]


def _is_map(box: Box) -> bool:
    return len(box.shape) == 3 and box.shape[1:] != (1, 1)


def _slab(box: Box, longest: int, channels: int, features: int) -> Slab:
    if box.op in ROUND:
        return Slab(18, 18, 0)
    if not _is_map(box):
        return Slab(7, 20 + 80 * math.sqrt(math.prod(box.shape) / features), 5)
    count, rows, columns = box.shape
    height = max(6.0, TALLEST * math.sqrt(rows / longest))
    depth = min(SKEW * max(6.0, TALLEST * math.sqrt(columns / longest)), height)
    thickness = 3 + THICKEST * (math.log2(1 + count) / math.log2(1 + channels)) ** 2
    return Slab(thickness, height, depth)


def _room(box: Box, slab: Slab) -> Extent:
    half = (slab.height + slab.depth) / 2
    text = 0.0 if box.op in ROUND else LINE * len(box.captions) + 5
    words = max((text_width(line, FONT) for line in box.captions), default=0.0) if text else 0.0
    return Extent(max(slab.thickness + slab.depth, words), half, half + text)


# -- drawing -----------------------------------------------------------------------------------------


def _box(result: Figure, box: Box, slab: Slab, center: float, middle: float) -> None:
    if box.op in ROUND:
        result.shapes.append(Circle((center, middle), slab.height / 2, "#ffffff", INK))
        result.shapes.append(Text((center, middle + 4.5), ROUND[box.op], 14, INK))
        return
    color = COLORS.get(box.op, OTHER)
    left = center - (slab.thickness + slab.depth) / 2
    if box.op == "block" and slab.thickness >= 9:
        layers = [(1 / 3, color)] * 3
    elif ACTIVATIONS & set(box.marks):
        layers = [(1 - BAND, color), (BAND, ACTIVATED)]
    else:
        layers = [(1.0, color)]
    for part, paint in layers:
        _cuboid(result, left, middle, part * slab.thickness, slab, paint)
        left += part * slab.thickness
    bottom = middle + (slab.height + slab.depth) / 2 + LINE
    for number, line in enumerate(box.captions):
        ink = INK if number == 0 else SOFT
        result.shapes.append(Text((center, bottom + number * LINE), line, FONT, ink))


def _cuboid(result: Figure, left: float, middle: float, thickness: float, slab: Slab, color: str) -> None:
    """Front, top and right faces, the far side up and to the right."""
    top, bottom = middle - (slab.height - slab.depth) / 2, middle + (slab.height + slab.depth) / 2
    right, depth = left + thickness, slab.depth
    front = ((left, top), (right, top), (right, bottom), (left, bottom))
    lid = ((left, top), (left + depth, top - depth), (right + depth, top - depth), (right, top))
    side = ((right, top), (right + depth, top - depth), (right + depth, bottom - depth), (right, bottom))
    edge = _shade(color, 0.55)
    result.shapes.append(Polygon(front, color, edge))
    result.shapes.append(Polygon(lid, _shade(color, 1.12), edge))
    result.shapes.append(Polygon(side, _shade(color, 0.84), edge))


def _shade(color: str, factor: float) -> str:
    parts = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{min(255, round(part * factor)):02x}" for part in parts)


def _arrows(result: Figure, found: Diagram, slabs: Sequence[Slab], spots: Places) -> None:
    def side(item: int, direction: int) -> Point:
        slab = slabs[item]
        half = (slab.thickness + slab.depth) / 2
        return spots.left[item] + spots.widths[item] / 2 + direction * half, spots.middle[item]

    for (source, target), route in zip(found.edges, spots.routes, strict=True):
        points = [side(source, 1)]
        for way in route:
            x, y = spots.left[way], spots.middle[way]
            points += [*curve(points[-1], (x, y)), (x + spots.widths[way], y)]
        tip = side(target, -1)
        points += curve(points[-1], (tip[0] - 5, tip[1]))
        result.shapes.append(Line(tuple(dict.fromkeys(points)), ARROW))
        x, y = tip
        result.shapes.append(Polygon(((x, y), (x - 6.5, y - 3), (x - 6.5, y + 3)), ARROW, ARROW, 0.2))


def _legend(result: Figure, boxes: Sequence[Box]) -> None:
    used = dict.fromkeys((WORDS[box.op], COLORS[box.op]) for box in boxes if box.op in WORDS)
    entries = list(used)
    if any(ACTIVATIONS & set(box.marks) for box in boxes):
        entries.append(("activation", ACTIVATED))
    left, _, _, bottom = _extent(result)
    x, y = left, bottom + 26
    for words, color in entries:
        square = ((x, y - 8), (x + 9, y - 8), (x + 9, y + 1), (x, y + 1))
        result.shapes.append(Polygon(square, color, _shade(color, 0.55)))
        result.shapes.append(Text((x + 14, y), words, FONT, SOFT, "start"))
        x += 32 + text_width(words, FONT)


# -- the frame ---------------------------------------------------------------------------------------


def _extent(result: Figure) -> tuple[float, float, float, float]:
    points: list[Point] = []
    for shape in result.shapes:
        if isinstance(shape, Polygon | Line):
            points.extend(shape.points)
        elif isinstance(shape, Circle):
            (x, y), r = shape.center, shape.radius
            points += [(x - r, y - r), (x + r, y + r)]
        elif isinstance(shape, Text):
            (x, y), width = shape.at, text_width(shape.text, shape.size)
            start = x if shape.anchor == "start" else x - width / 2
            points += [(start, y - shape.size), (start + width, y + 3)]
    return bounds(points or [(0.0, 0.0)])


def _frame(result: Figure) -> None:
    """Move everything to positive coordinates inside a margin."""
    left, top, right, bottom = _extent(result)
    dx, dy = MARGIN - left, MARGIN - top
    result.width, result.height = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    result.shapes = [moved(shape, dx, dy) for shape in result.shapes]
