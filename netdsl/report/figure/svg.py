"""Figures as SVG files: plain shapes and text, no script, nothing from outside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from xml.sax.saxutils import escape

from netdsl.report.figure.primitives import Circle, Figure, Line, Picture, Point, Polygon, Shape, Text

FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def svg(figure: Figure) -> str:
    """The whole file."""
    width, height = _number(figure.width), _number(figure.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' font-family="{FONTS}" role="img">',
        f"<title>{escape(figure.title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    lines += map(_shape, figure.shapes)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _shape(shape: Shape) -> str:
    if isinstance(shape, Polygon):
        points = _points(shape.points)
        outline = f'stroke="{shape.stroke}" stroke-width="{_number(shape.width)}" stroke-linejoin="round"'
        face = f'fill="{shape.fill}"' + (f' fill-opacity="{_number(shape.opacity)}"' if shape.opacity < 1 else "")
        return f'<polygon points="{points}" {face} {outline}/>'
    if isinstance(shape, Line):
        points = _points(shape.points)
        return (
            f'<polyline points="{points}" fill="none" stroke="{shape.stroke}" stroke-width="{_number(shape.width)}"/>'
        )
    if isinstance(shape, Circle):
        x, y = map(_number, shape.center)
        radius, title = _number(shape.radius), f"<title>{escape(shape.title)}</title>" if shape.title else ""
        start = f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{shape.fill}" stroke="{shape.stroke}"'
        return f"{start}>{title}</circle>" if title else f"{start}/>"
    return _picture(shape) if isinstance(shape, Picture) else _text(shape)


def _text(shape: Text) -> str:
    x, y = map(_number, shape.at)
    place = f'x="{x}" y="{y}"' if not shape.upright else f'transform="translate({x} {y}) rotate(-90)"'
    look = f'font-size="{_number(shape.size)}" fill="{shape.color}" text-anchor="{shape.anchor}"'
    return f"<text {place} {look}>{escape(shape.text)}</text>"


def _picture(shape: Picture) -> str:
    (x, y), size = map(_number, shape.corner), f'width="{_number(shape.width)}" height="{_number(shape.height)}"'
    data = base64.b64encode(shape.png).decode()
    look = 'preserveAspectRatio="none" style="image-rendering: pixelated"'
    return f'<image x="{x}" y="{y}" {size} {look} href="data:image/png;base64,{data}"/>'


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    """Two digits behind the point, none that say nothing."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
