"""What figures are made of: a few shapes, which every writer knows. Units are points, y goes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

Point = tuple[float, float]


@dataclass(frozen=True)
class Polygon:
    """A filled face with an outline. ``opacity`` is the face's alone: 1 hides what lies behind."""

    points: tuple[Point, ...]
    fill: str
    stroke: str
    width: float = 0.8
    opacity: float = 1.0


@dataclass(frozen=True)
class Line:
    """An open line through points."""

    points: tuple[Point, ...]
    stroke: str
    width: float = 1.2


@dataclass(frozen=True)
class Circle:
    """A filled circle with an outline; ``title`` is shown where a viewer has hints."""

    center: Point
    radius: float
    fill: str
    stroke: str
    title: str = ""


@dataclass(frozen=True)
class Text:
    """One line; ``anchor`` is start, middle or end, ``at`` lies on its baseline. ``upright`` text runs upwards."""

    at: Point
    text: str
    size: float
    color: str
    anchor: str = "middle"
    upright: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG file stretched over ``width`` x ``height`` points, each of its pixels a rectangle."""

    corner: Point
    width: float
    height: float
    png: bytes


Shape = Polygon | Line | Circle | Text | Picture


@dataclass
class Figure:
    """Shapes from back to front on ``width`` x ``height`` points; ``title`` is for those who do not see it."""

    title: str
    width: float = 0.0
    height: float = 0.0
    shapes: list[Shape] = field(default_factory=list)


def moved(shape: Shape, dx: float, dy: float) -> Shape:
    """The same elsewhere."""
    if isinstance(shape, Polygon | Line):
        return replace(shape, points=tuple((x + dx, y + dy) for x, y in shape.points))
    if isinstance(shape, Circle):
        return replace(shape, center=(shape.center[0] + dx, shape.center[1] + dy))
    if isinstance(shape, Picture):
        return replace(shape, corner=(shape.corner[0] + dx, shape.corner[1] + dy))
    return replace(shape, at=(shape.at[0] + dx, shape.at[1] + dy))


def curve(start: Point, end: Point, steps: int = 20) -> list[Point]:
    """Points of a line that leaves and arrives horizontally (a cubic Bezier curve)."""
    (x0, y0), (x1, y1) = start, end
    if abs(y1 - y0) < 0.5:
        return [start, end]
    middle = (x0 + x1) / 2
    return [_bezier((x0, y0), (middle, y0), (middle, y1), (x1, y1), step / steps) for step in range(steps + 1)]


def _bezier(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (sum(w * point[axis] for w, point in zip(weights, (a, b, c, d), strict=True)) for axis in (0, 1))
    return x, y


def rectangle(left: float, top: float, right: float, bottom: float) -> tuple[Point, ...]:
    """Its corners."""
    return (left, top), (right, top), (right, bottom), (left, bottom)


def text_width(text: str, size: float) -> float:
    """About how wide a line of text is; fonts differ."""
    return 0.58 * size * len(text)


def bounds(points: Sequence[Point]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom)."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)
