"""Figures as PNG files, drawn with Pillow from the same shapes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from netdsl.diagnostics import Code, ResourceLimit
from netdsl.report.figure.primitives import Circle, Figure, Line, Picture, Polygon, Text

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SMOOTH = 2
"""Shapes are drawn this much larger and scaled down, which smooths their edges."""
MAX_PIXELS = 24_000_000


def png(figure: Figure, scale: float = 2.0) -> bytes:
    """The whole file with ``scale`` pixels a point. Raises ResourceLimit beyond MAX_PIXELS."""
    from PIL import Image

    size = round(figure.width * scale), round(figure.height * scale)
    if size[0] * size[1] > MAX_PIXELS:
        raise ResourceLimit.of(
            Code.LIMIT_SIZE,
            f"the figure would have {size[0]:,} x {size[1]:,} pixels",
            notes=[f"a PNG may have at most {MAX_PIXELS:,}"],
            help="draw it as SVG, with fewer blocks open (--depth), or smaller (--scale)",
        )
    large = Image.new("RGB", (size[0] * SMOOTH, size[1] * SMOOTH), "#ffffff")
    _draw_shapes(large, figure, scale * SMOOTH)
    picture = large.resize(size, Image.Resampling.BOX)
    _draw_texts(picture, figure, scale)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def _draw_shapes(large: Image.Image, figure: Figure, scale: float) -> None:
    from PIL import ImageColor, ImageDraw

    draw = ImageDraw.Draw(large, "RGBA")  # lays what is half transparent over what is there
    for shape in figure.shapes:
        if isinstance(shape, Polygon):
            points = [(x * scale, y * scale) for x, y in shape.points]
            draw.polygon(points, fill=(*ImageColor.getrgb(shape.fill)[:3], round(255 * shape.opacity)))
            draw.line([*points, points[0]], fill=shape.stroke, width=max(1, round(shape.width * scale)), joint="curve")
        elif isinstance(shape, Line):
            points = [(x * scale, y * scale) for x, y in shape.points]
            draw.line(points, fill=shape.stroke, width=max(1, round(shape.width * scale)), joint="curve")
        elif isinstance(shape, Circle):
            (x, y), r = shape.center, shape.radius
            box = ((x - r) * scale, (y - r) * scale, (x + r) * scale, (y + r) * scale)
            draw.ellipse(box, fill=shape.fill, outline=shape.stroke, width=max(1, round(scale)))
        elif isinstance(shape, Picture):
            _paste(large, shape, scale)


def _paste(large: Image.Image, shape: Picture, scale: float) -> None:
    from PIL import Image

    (x, y), size = shape.corner, (round(shape.width * scale), round(shape.height * scale))
    with Image.open(io.BytesIO(shape.png), formats=["PNG"]) as opened:
        large.paste(opened.convert("RGB").resize(size, Image.Resampling.NEAREST), (round(x * scale), round(y * scale)))


def _draw_texts(picture: Image.Image, figure: Figure, scale: float) -> None:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    for shape in figure.shapes:
        if isinstance(shape, Text) and shape.upright:
            turned = picture.rotate(-90, expand=True)  # upwards becomes rightwards, (x, y) becomes (height - y, x)
            x, y = shape.at
            at = picture.height - y * scale, x * scale
            _write(ImageDraw.Draw(turned), shape, at, scale)
            picture.paste(turned.rotate(90, expand=True))
        elif isinstance(shape, Text):
            _write(draw, shape, (shape.at[0] * scale, shape.at[1] * scale), scale)


def _write(draw: ImageDraw.ImageDraw, shape: Text, at: tuple[float, float], scale: float) -> None:
    from PIL import ImageFont

    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
    words = shape.text.replace("×", "x")  # Pillow's own font has no such letter
    draw.text(at, words, fill=shape.color, font=ImageFont.load_default(shape.size * scale), anchor=anchor)
