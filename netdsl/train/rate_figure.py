"""The figure of ``netdsl lr-find``: loss against learning rate, the rate on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netdsl.report.figure.primitives import Circle, Figure, Line, Point, Shape, Text
from netdsl.train.chart import nice_ticks
from netdsl.train.find_rate import RateCurve, RatePoint

WIDTH, HEIGHT, LEFT, BOTTOM, EDGE = 640.0, 400.0, 70.0, 60.0, 30.0
FONT = 12.0
INK, SOFT, GRID, SEEN, SMOOTHED, CHOSEN = "#1f2933", "#5b6570", "#dddddd", "#a8c7ee", "#0969da", "#bc4c00"


class _Scale:
    """Where a rate and a loss are in the figure."""

    def __init__(self, curve: RateCurve) -> None:
        rates = [point.rate for point in curve.points]
        smoothed = [point.smoothed for point in curve.points]
        self.powers = math.log10(min(rates)), math.log10(max(rates))
        # What a diverged loss reaches would press all else flat.
        most = min(max(smoothed), 1.5 * max(smoothed[0], min(smoothed)))
        self.ticks = nice_ticks(min(smoothed), most)

    def across(self, rate: float) -> float:
        low, high = self.powers
        return LEFT + (math.log10(rate) - low) / (high - low) * (WIDTH - LEFT - EDGE)

    def up(self, loss: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        part = min(1.0, max(0.0, (loss - low) / (high - low)))
        return HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - EDGE)


def rate_figure(curve: RateCurve, net: str) -> Figure:
    """The curve with the suggested rate marked."""
    scale = _Scale(curve)

    def line(value: str) -> tuple[Point, ...]:
        return tuple((scale.across(point.rate), scale.up(getattr(point, value))) for point in curve.points)

    chosen = next(point for point in curve.points if point.rate == curve.suggested)
    shapes: list[Shape] = [*_grid(scale), Line(line("loss"), SEEN, 1), Line(line("smoothed"), SMOOTHED, 2)]
    return Figure(f"Loss of {net} against the learning rate", WIDTH, HEIGHT, [*shapes, *_mark(scale, chosen)])


def _grid(scale: _Scale) -> Iterator[Shape]:
    bottom, (low, high) = HEIGHT - BOTTOM, scale.powers
    for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        x = scale.across(10.0**power)
        yield Line(((x, EDGE), (x, bottom)), GRID, 1)
        yield Text((x, bottom + 20), f"1e{power}" if power else "1", FONT, SOFT)
    for loss in scale.ticks:
        y = scale.up(loss)
        yield Line(((LEFT, y), (WIDTH - EDGE, y)), GRID, 1)
        yield Text((LEFT - 8, y + 4), f"{loss:.4g}", FONT, SOFT, "end")
    yield Text(((LEFT + WIDTH) / 2, HEIGHT - 14), "learning rate", FONT + 1, INK)
    yield Text((20, HEIGHT / 2), "loss", FONT + 1, INK, upright=True)


def _mark(scale: _Scale, chosen: RatePoint) -> Iterator[Shape]:
    x, y = scale.across(chosen.rate), scale.up(chosen.smoothed)
    yield Line(((x, EDGE), (x, HEIGHT - BOTTOM)), CHOSEN, 1)
    yield Circle((x, y), 5, CHOSEN, "#ffffff", f"{chosen.rate:.3g}")
    left = x > WIDTH / 2
    yield Text((x - 8 if left else x + 8, EDGE + 12), f"{chosen.rate:.2g}", FONT, CHOSEN, "end" if left else "start")
