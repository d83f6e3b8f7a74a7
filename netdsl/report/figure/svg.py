"""Figures as SVG files: plain shapes and text, no script, nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from netdsl.report.figure.primitives import Circle, Figure, Line, Point, Polygon, Shape

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
        return f'<polygon points="{points}" fill="{shape.fill}" {outline}/>'
    if isinstance(shape, Line):
        points = _points(shape.points)
        return (
            f'<polyline points="{points}" fill="none" stroke="{shape.stroke}" stroke-width="{_number(shape.width)}"/>'
        )
    if isinstance(shape, Circle):
        x, y = map(_number, shape.center)
        return f'<circle cx="{x}" cy="{y}" r="{_number(shape.radius)}" fill="{shape.fill}" stroke="{shape.stroke}"/>'
    x, y = map(_number, shape.at)
    place = f'x="{x}" y="{y}" font-size="{_number(shape.size)}" fill="{shape.color}" text-anchor="{shape.anchor}"'
    return f"<text {place}>{escape(shape.text)}</text>"


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    """Two digits behind the point, none that say nothing."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
