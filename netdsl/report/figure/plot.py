"""The figure of ``netdsl compare --plot``: work against parameters, both on logarithmic scales.

As in Canziani, Paszke and Culurciello, "An analysis of deep neural network models for practical applications", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netdsl.report.comparison import Entry
from netdsl.report.figure.primitives import Circle, Figure, Line, Point, Shape, Text, text_width

WIDTH, HEIGHT, LEFT, BOTTOM, EDGE = 760.0, 520.0, 80.0, 60.0, 30.0
DOT, FONT = 6.0, 12.0
INK, SOFT, GRID, DOTS = "#1f2933", "#5b6570", "#dddddd", "#2b6cb0"

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class _Axis:
    """Positive values at their place between powers of ten, from ``start`` to ``end`` in points."""

    powers: tuple[int, int]
    start: float
    end: float

    @staticmethod
    def around(values: Sequence[int], start: float, end: float) -> _Axis:
        low, high = (math.log10(max(1, bound)) for bound in (min(values), max(values)))
        return _Axis((math.floor(low), max(math.ceil(high), math.floor(low) + 1)), start, end)

    def at(self, value: int) -> float:
        part = (math.log10(max(1, value)) - self.powers[0]) / (self.powers[1] - self.powers[0])
        return self.start + part * (self.end - self.start)

    def ticks(self) -> Iterator[tuple[float, str]]:
        for power in range(self.powers[0], self.powers[1] + 1):
            yield self.at(10**power), _power(power)


def plot(entries: Sequence[Entry]) -> Figure:
    """Draw one dot a network, with its name where it hides no other as far as that goes."""
    across = _Axis.around([item.macs for item in entries], LEFT, WIDTH - EDGE)
    up = _Axis.around([item.params for item in entries], HEIGHT - BOTTOM, EDGE)
    spots = [(across.at(item.macs), up.at(item.params)) for item in entries]
    taken = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in spots]
    leaders: list[Shape] = []
    dots: list[Shape] = []
    names: list[Shape] = []
    for item, spot in zip(entries, spots, strict=True):
        title = f"{item.net}: {item.params:,} parameters, {item.macs:,} MACs"
        dots.append(Circle(spot, DOT, DOTS, "#ffffff", title))
        text, box = _name(item.net, spot, taken)
        taken.append(box)
        names.append(text)
        leaders += _leader(spot, box)
    return Figure("MACs against parameters", WIDTH, HEIGHT, [*_grid(across, up), *leaders, *dots, *names])


def _grid(across: _Axis, up: _Axis) -> Iterator[Shape]:
    bottom = HEIGHT - BOTTOM
    for x, words in across.ticks():
        yield Line(((x, EDGE), (x, bottom)), GRID, 1)
        yield Text((x, bottom + 20), words, FONT, SOFT)
    for y, words in up.ticks():
        yield Line(((LEFT, y), (WIDTH - EDGE, y)), GRID, 1)
        yield Text((LEFT - 8, y + 4), words, FONT, SOFT, "end")
    yield Text(((LEFT + WIDTH) / 2, HEIGHT - 14), "MACs a sample", FONT + 1, INK)
    yield Text((22, HEIGHT / 2), "parameters", FONT + 1, INK, upright=True)


def _name(name: str, spot: Point, taken: Sequence[Box]) -> tuple[Text, Box]:
    """The name beside its dot: of the places around it, the one that covers least of what is there."""
    (x, y), width = spot, 0.9 * text_width(name, FONT)
    places: list[tuple[Box, str]] = []
    for down in (0, 1, -1, 2, -2, 3, -3, 4, -4):
        for anchor, left in (("start", x + DOT + 4), ("end", x - DOT - 4 - width)):
            middle = y + 11 * down
            places.append(((left, middle - 6, left + width, middle + 6), anchor))
    inside = [place for place in places if place[0][0] > 0 and place[0][2] < WIDTH] or places
    box, anchor = min(inside, key=lambda place: sum(_overlap(place[0], other) for other in taken))
    return Text((box[0] if anchor == "start" else box[2], box[3] - 2), name, FONT, INK, anchor), box


def _leader(spot: Point, box: Box) -> Iterator[Shape]:
    """A line from a dot to its name where they are apart."""
    middle = (box[1] + box[3]) / 2
    if abs(middle - spot[1]) > 2 * DOT:
        end = box[0] - 2 if box[0] > spot[0] else box[2] + 2
        yield Line((spot, (end, middle)), SOFT, 0.6)


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _power(power: int) -> str:
    units = "", "k", "M", "G", "T", "P"
    return f"{10 ** (power % 3)}{units[power // 3]}" if power // 3 < len(units) else f"1e{power}"
