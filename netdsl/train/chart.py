"""Line charts as PNG pictures, drawn with Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

WIDTH, HEIGHT = 760, 460  # of one panel, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 52, 62
_INK, _GREY, _GRID, _PAPER = "#1b1f24", "#57606a", "#d8dee4", "#ffffff"
_TICKS = 5


@dataclass(frozen=True)
class Series:
    """A named line through points (x, y). A thin one is drawn pale, below the others."""

    name: str
    points: Sequence[tuple[float, float]]
    color: str
    thin: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    x_label: str
    series: Sequence[Series]
    percent: bool = False


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """The panels side by side, as the bytes of a PNG file."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH * len(panels), HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    for number, panel in enumerate(panels):
        _draw_panel(draw, panel, number * WIDTH)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def nice_ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """About ``count`` round numbers that reach from at most ``low`` to at least ``high``."""
    span = high - low if high > low else max(abs(high), 1.0)
    rough = span / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, left: int) -> None:
    x_values = [x for line in panel.series for x, _ in line.points]
    y_values = [y for line in panel.series for _, y in line.points]
    x_ticks = nice_ticks(0.0, max(x_values, default=1.0))
    y_ticks = nice_ticks(min(y_values, default=0.0), max(y_values, default=1.0))
    x_low, x_high = 0.0, max(max(x_values, default=1.0), x_ticks[1])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return (
            left + _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )

    draw.text((left + _LEFT, 16), panel.title, fill=_INK, font=_font(19))
    _draw_grid(draw, panel, place, [x for x in x_ticks if x <= x_high], y_ticks, x_high)
    for line in sorted(panel.series, key=lambda series: not series.thin):
        _draw_line(draw, line, place)
    _draw_legend(draw, panel.series, left)


Place = Callable[[float, float], tuple[float, float]]


def _draw_grid(
    draw: ImageDraw.ImageDraw,
    panel: Panel,
    place: Place,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_high: float,
) -> None:
    small = _font(14)
    for y in y_ticks:
        draw.line([place(0, y), place(x_high, y)], fill=_GRID)
        x_pixel, y_pixel = place(0, y)
        text = f"{100 * y:.4g}%" if panel.percent else f"{y:.4g}"
        draw.text((x_pixel - 8, y_pixel), text, fill=_GREY, font=small, anchor="rm")
    for x in x_ticks:
        x_pixel, y_pixel = place(x, y_ticks[0])
        draw.line([(x_pixel, y_pixel), (x_pixel, y_pixel + 5)], fill=_GREY)
        draw.text((x_pixel, y_pixel + 9), f"{x:g}", fill=_GREY, font=small, anchor="ma")
    draw.line([place(0, y_ticks[0]), place(x_high, y_ticks[0])], fill=_GREY)
    middle, bottom = place(x_high / 2, y_ticks[0])
    draw.text((middle, bottom + 32), panel.x_label, fill=_GREY, font=small, anchor="ma")


def _draw_line(draw: ImageDraw.ImageDraw, line: Series, place: Place) -> None:
    points = [place(x, y) for x, y in line.points]
    if len(points) > 1:
        draw.line(points, fill=line.color, width=1 if line.thin else 3, joint="curve")
    if not line.thin:
        for x, y in points:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=line.color, outline=_PAPER)


def _draw_legend(draw: ImageDraw.ImageDraw, series: Sequence[Series], left: int) -> None:
    font = _font(14)
    x = left + WIDTH - _RIGHT
    for line in reversed(series):
        x -= int(draw.textlength(line.name, font=font))
        draw.text((x, 27), line.name, fill=_INK, font=font, anchor="lm")
        draw.line([(x - 26, 27), (x - 8, 27)], fill=line.color, width=1 if line.thin else 3)
        x -= 44


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
