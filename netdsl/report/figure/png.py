"""Figures as PNG files, drawn with Pillow from the same shapes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from netdsl.diagnostics import Code, ResourceLimit
from netdsl.report.figure.primitives import Circle, Figure, Line, Polygon, Text

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SMOOTH = 2
"""Shapes are drawn this much larger and scaled down, which smooths their edges."""
MAX_PIXELS = 24_000_000


def png(figure: Figure, scale: float = 2.0) -> bytes:
    """The whole file with ``scale`` pixels a point. Raises ResourceLimit beyond MAX_PIXELS."""
    from PIL import Image, ImageDraw

    size = round(figure.width * scale), round(figure.height * scale)
    if size[0] * size[1] > MAX_PIXELS:
        raise ResourceLimit.of(
            Code.LIMIT_SIZE,
            f"the figure would have {size[0]:,} x {size[1]:,} pixels",
            notes=[f"a PNG may have at most {MAX_PIXELS:,}"],
            help="draw it as SVG, with fewer blocks open (--depth), or smaller (--scale)",
        )
    large = Image.new("RGB", (size[0] * SMOOTH, size[1] * SMOOTH), "#ffffff")
    _draw_shapes(ImageDraw.Draw(large), figure, scale * SMOOTH)
    picture = large.resize(size, Image.Resampling.BOX)
    _draw_texts(picture, figure, scale)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def _draw_shapes(draw: ImageDraw.ImageDraw, figure: Figure, scale: float) -> None:
    for shape in figure.shapes:
        if isinstance(shape, Polygon):
            points = [(x * scale, y * scale) for x, y in shape.points]
            draw.polygon(points, fill=shape.fill)
            draw.line([*points, points[0]], fill=shape.stroke, width=max(1, round(shape.width * scale)), joint="curve")
        elif isinstance(shape, Line):
            points = [(x * scale, y * scale) for x, y in shape.points]
            draw.line(points, fill=shape.stroke, width=max(1, round(shape.width * scale)), joint="curve")
        elif isinstance(shape, Circle):
            (x, y), r = shape.center, shape.radius
            box = ((x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale)
            draw.ellipse(box, fill=shape.fill, outline=shape.stroke, width=max(1, round(scale)))


def _draw_texts(picture: Image.Image, figure: Figure, scale: float) -> None:
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture)
    for shape in figure.shapes:
        if isinstance(shape, Text):
            x, y = shape.at
            anchor = "ls" if shape.anchor == "start" else "ms"
            font = ImageFont.load_default(shape.size * scale)
            words = shape.text.replace("×", "x")  # Pillow's own font has no such letter
            draw.text((x * scale, y * scale), words, fill=shape.color, font=font, anchor=anchor)
