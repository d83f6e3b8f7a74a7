"""Line charts as figures, to be written as SVG; :mod:`netdsl.train.chart` draws the same as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.report.figure.primitives import Circle, Figure, Line, Point, Shape, Text, moved, text_width
from netdsl.train.chart import Panel, Series, nice_ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560.0, 360.0, 64.0, 20.0, 48.0, 52.0
FONT = 12.0
INK, SOFT, GRID, PAPER = "#1b1f24", "#57606a", "#d8dee4", "#ffffff"


class _Scale:
    """Where a panel's values are."""

    def __init__(self, panel: Panel) -> None:
        points = [point for line in panel.series for point in line.points]
        most = max((x for x, _ in points), default=1.0)
        ticks = nice_ticks(0.0, most)
        self.right = max(most, ticks[1])
        self.x_ticks = [tick for tick in ticks if tick <= self.right]
        values = [y for _, y in points]
        self.y_ticks = nice_ticks(min(values, default=0.0), max(values, default=1.0))

    def at(self, x: float, y: float) -> Point:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        across, up = x / self.right, (y - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def chart_figure(panels: Sequence[Panel], title: str) -> Figure:
    """The panels side by side."""
    shapes = [moved(shape, number * WIDTH, 0) for number, panel in enumerate(panels) for shape in _panel(panel)]
    return Figure(title, WIDTH * len(panels), HEIGHT, shapes)


def _panel(panel: Panel) -> Iterator[Shape]:
    scale = _Scale(panel)
    yield Text((LEFT, 24), panel.title, FONT + 3, INK, "start")
    yield from _grid(panel, scale)
    for line in sorted(panel.series, key=lambda series: not series.thin):
        yield from _line(line, scale)
    yield from _legend(panel.series)


def _grid(panel: Panel, scale: _Scale) -> Iterator[Shape]:
    for y in scale.y_ticks:
        start, end = scale.at(0, y), scale.at(scale.right, y)
        yield Line((start, end), GRID, 1)
        yield Text((LEFT - 8, start[1] + 4), f"{100 * y:.4g}%" if panel.percent else f"{y:.4g}", FONT, SOFT, "end")
    for x in scale.x_ticks:
        place = scale.at(x, scale.y_ticks[0])
        yield Line((place, (place[0], place[1] + 4)), SOFT, 1)
        yield Text((place[0], place[1] + 18), f"{x:g}", FONT, SOFT)
    yield Text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12), panel.x_label, FONT, SOFT)


def _line(line: Series, scale: _Scale) -> Iterator[Shape]:
    points = tuple(scale.at(x, y) for x, y in line.points)
    if len(points) > 1:
        yield Line(points, line.color, 1 if line.thin else 2)
    if not line.thin:
        for place, (x, y) in zip(points, line.points, strict=True):
            yield Circle(place, 3, line.color, PAPER, f"{line.name} at {x:g}: {y:.5g}")


def _legend(series: Sequence[Series]) -> Iterator[Shape]:
    x = WIDTH - RIGHT
    for line in reversed(series):
        yield Text((x, 24), line.name, FONT, INK, "end")
        x -= text_width(line.name, FONT) + 6
        yield Line(((x - 18, 20), (x, 20)), line.color, 1 if line.thin else 3)
        x -= 34
