"""The figure of an inspected training: gradients and updates from layer to layer, and histograms of each layer.

Above, two charts over the numbers of the layers; below, a row a layer with the histograms of its weights, their
gradients and its activations: filled those of the latest look, as a line those of the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from netdsl.report.figure.primitives import Circle, Figure, Line, Point, Polygon, Shape, Text, rectangle, text_width
from netdsl.train.inspection import dead

FONT, ROW = 12.0, 50.0
CHART, LEFT, EDGE, TOP, BOTTOM = 230.0, 64.0, 24.0, 56.0, 46.0
NAMES, CELL, GAP = 230.0, 170.0, 22.0
COLUMNS = (("weights", "#0969da"), ("gradients", "#8250df"), ("activations", "#1a7f37"))
WIDTH = NAMES + len(COLUMNS) * (CELL + GAP) + 230.0
INK, SOFT, GRID, FIRST, DEAD = "#1b1f24", "#57606a", "#d8dee4", "#57606a", "#bc4c00"
LOOKS = ("#c8d1da", "#8fb8e8", "#4f93dd", "#0969da")
"""Colours of the looks in a chart, from the first to the latest."""
USUAL_RATIO = 1e-3

Row = tuple[Mapping[str, Any], Mapping[str, Any] | None]
"""A layer, and its parameter with the most numbers among those that are trained, if there is one."""


def inspection_figure(records: Sequence[Mapping[str, Any]], net: str) -> Figure:
    """Of the lines of an `inspect.jsonl`, at least one."""
    rows = [_rows(record) for record in records]
    height = TOP + CHART + BOTTOM + 40 + ROW * len(rows[-1]) + EDGE
    figure = Figure(f"Gradients, weights and activations of {net}", WIDTH, height)
    chosen = _spread_out(len(records))
    for left, title, value, usual in (
        (0.0, "Norm of gradients", _gradient_norm, None),
        (WIDTH / 2, "Update / weights", _ratio, USUAL_RATIO),
    ):
        lines = [(f"step {records[n]['step']}", _line(rows[n], value)) for n in chosen]
        figure.shapes.extend(_chart(left, title, lines, usual))
    top = TOP + CHART + BOTTOM + 40
    figure.shapes.extend(_heads(top, records))
    dying = {name: (count, units) for name, count, units in dead(records[-1]["layers"])}
    for number, (first, last) in enumerate(zip(rows[0], rows[-1], strict=True)):
        figure.shapes.extend(_row(top + ROW * number, number + 1, first, last, dying.get(str(last[0]["layer"]))))
    return figure


def _rows(record: Mapping[str, Any]) -> list[Row]:
    return [(layer, _largest(layer["parameters"])) for layer in record["layers"]]


def _largest(parameters: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    trained = [found for found in parameters if found["gradient"] is not None]
    return max(trained or parameters, key=lambda found: int(found["weight"]["count"]), default=None)


def _line(rows: Sequence[Row], value: Callable[[Row], float | None]) -> list[float | None]:
    """The value of each layer with filters or a matrix: between them, factors of normalizations would hide how
    gradients change. Where there are none, of each layer."""
    found = [parameter is not None and len(parameter["shape"]) > 1 for _, parameter in rows]
    return [value(row) if wanted or not any(found) else None for row, wanted in zip(rows, found, strict=True)]


def _spread_out(count: int) -> list[int]:
    """Up to as many looks as there are colours, the first and the latest among them."""
    most = min(count, len(LOOKS))
    return sorted({round(place * (count - 1) / max(most - 1, 1)) for place in range(most)})


def _gradient_norm(row: Row) -> float | None:
    _, parameter = row
    return parameter["gradient"]["norm"] if parameter is not None and parameter["gradient"] is not None else None


def _ratio(row: Row) -> float | None:
    _, parameter = row
    return parameter["update"]["ratio"] if parameter is not None and parameter["gradient"] is not None else None


# -- charts ------------------------------------------------------------------------------------------


class _Scale:
    """Where a layer's number and a value are in a chart whose left edge is at ``left``; upwards the powers of ten."""

    def __init__(self, left: float, layers: int, values: Sequence[float]) -> None:
        self.left, self.right, self.layers = left + LEFT, left + WIDTH / 2 - EDGE, layers
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def across(self, number: float) -> float:
        return self.left + (number - 0.5) / self.layers * (self.right - self.left)

    def up(self, value: float) -> float:
        return TOP + CHART - (math.log10(value) - self.low) / (self.high - self.low) * CHART


_Looked = tuple[str, Sequence[float | None]]
"""A look's name, and a value for each layer that has one."""


def _chart(left: float, title: str, looks: Sequence[_Looked], usual: float | None) -> Iterator[Shape]:
    """Lines over the layers. Those without a value, or with 0, are left out."""
    yield Text((left + LEFT, 24), title, FONT + 3, INK, "start")
    values = [value for _, line in looks for value in line if value]
    if not values:
        return
    scale = _Scale(left, len(looks[0][1]), [*values, *([] if usual is None else [usual])])
    yield from _axes(scale)
    if usual is not None:
        y = scale.up(usual)
        yield Line(((scale.left, y), (scale.right, y)), DEAD, 1)
        yield Text((scale.right, y - 4), f"{usual:g}", FONT, DEAD, "end")
    coloured = list(zip(LOOKS[-len(looks) :], looks, strict=True))
    yield from _legend(scale.right, [(colour, name) for colour, (name, _) in coloured])
    for colour, (name, line) in coloured:
        points = [(number, value) for number, value in enumerate(line, 1) if value]
        yield Line(tuple((scale.across(number), scale.up(value)) for number, value in points), colour, 2)
        for number, value in points:
            place = scale.across(number), scale.up(value)
            yield Circle(place, 2.5, colour, "#ffffff", f"layer {number} at {name}: {value:.3g}")


def _axes(scale: _Scale) -> Iterator[Shape]:
    for power in range(scale.low, scale.high + 1, -(-(scale.high - scale.low) // 10)):
        y = scale.up(10.0**power)
        yield Line(((scale.left, y), (scale.right, y)), GRID, 1)
        yield Text((scale.left - 8, y + 4), f"1e{power}" if power else "1", FONT, SOFT, "end")
    for number in range(1, scale.layers + 1, -(-scale.layers // 16)):
        yield Text((scale.across(number), TOP + CHART + 18), str(number), FONT, SOFT)
    yield Text(((scale.left + scale.right) / 2, TOP + CHART + 38), "layer", FONT, SOFT)


def _legend(right: float, looks: Sequence[tuple[str, str]]) -> Iterator[Shape]:
    for colour, name in reversed(looks):
        yield Text((right, 44), name, FONT, INK, "end")
        right -= text_width(name, FONT) + 6
        yield Line(((right - 18, 40), (right, 40)), colour, 3)
        right -= 30


# -- rows --------------------------------------------------------------------------------------------


def _heads(top: float, records: Sequence[Mapping[str, Any]]) -> Iterator[Shape]:
    latest, first = records[-1]["step"], records[0]["step"]
    for column, (name, colour) in enumerate(COLUMNS):
        yield Text((_left(column), top - 14), name, FONT + 1, colour, "start")
    said = f"filled: step {latest}" + (f"; line: step {first}" if first != latest else "")
    yield Text((EDGE, top - 14), said, FONT, SOFT, "start")
    yield Text((_left(len(COLUMNS)), top - 14), "gradient, update / weights, zeros", FONT, SOFT, "start")


def _left(column: int) -> float:
    return NAMES + column * (CELL + GAP)


def _row(top: float, number: int, first: Row, last: Row, dying: tuple[int, int] | None) -> Iterator[Shape]:
    bottom = top + ROW - 18
    yield Line(((EDGE, bottom + 13), (WIDTH - EDGE, bottom + 13)), GRID, 0.6)
    yield Text((EDGE, bottom - 10), f"{number}  {_shortened(last[0]['layer'])}", FONT, INK, "start")
    yield Text((EDGE, bottom + 2), str(last[0]["op"]), FONT - 2, SOFT, "start")
    for column, (now, then) in enumerate(zip(_histograms(last), _histograms(first), strict=True)):
        yield from _histogram((_left(column), top, bottom), COLUMNS[column][1], now, then)
    yield from _numbers((_left(len(COLUMNS)), bottom), last, dying)


def _shortened(name: str) -> str:
    return name if len(name) <= 24 else f"...{name[-22:]}"


def _histograms(row: Row) -> list[Mapping[str, Any] | None]:
    layer, parameter = row
    parts = [parameter and parameter["weight"], parameter and parameter["gradient"], layer["activation"]]
    return [None if part is None else part["histogram"] for part in parts]


def _histogram(
    place: tuple[float, float, float], colour: str, now: Mapping[str, Any] | None, then: Mapping[str, Any] | None
) -> Iterator[Shape]:
    """Two on one scale across, each as high as its fullest bin."""
    left, top, bottom = place
    both = [found for found in (now, then) if found is not None]
    if not both:
        return
    low, high = min(found["low"] for found in both), max(found["high"] for found in both)

    def outline(found: Mapping[str, Any]) -> tuple[Point, ...]:
        counts, start, end = found["counts"], found["low"], found["high"]
        most, wide = max(counts), (end - start) / len(counts)
        edges = [left + (start + wide * number - low) / (high - low) * CELL for number in range(len(counts) + 1)]
        heights = [bottom - (bottom - top - 4) * count / most for count in counts]
        steps = [(x, y) for n, y in enumerate(heights) for x in (edges[n], edges[n + 1])]
        return ((edges[0], bottom), *steps, (edges[-1], bottom))

    yield Line(((left, bottom), (left + CELL, bottom)), GRID, 1)
    if now is not None:
        yield Polygon(outline(now), colour, colour, 0.4, 0.45)
    if then is not None and then is not now:
        yield Line(outline(then), FIRST, 0.8)
    if low < 0 < high:
        zero = left - low / (high - low) * CELL
        yield Line(((zero, bottom), (zero, bottom + 3)), SOFT, 1)
    yield Text((left, bottom + 10), f"{low:.3g}", FONT - 4, SOFT, "start")
    yield Text((left + CELL, bottom + 10), f"{high:.3g}", FONT - 4, SOFT, "end")


def _numbers(place: Point, row: Row, dying: tuple[int, int] | None) -> Iterator[Shape]:
    left, bottom = place
    norm, ratio, activation = _gradient_norm(row), _ratio(row), row[0]["activation"]
    found = [f"{value:.2g}" for value in (norm, ratio) if value is not None]
    if activation is not None and activation["zeros"]:
        found.append(f"{100 * activation['zeros']:.3g}% zeros")
    yield Text((left, bottom - 10), "   ".join(found), FONT, INK, "start")
    if dying is not None:
        yield Polygon(rectangle(left - 9, bottom - 7, left - 4, bottom + 4), DEAD, DEAD)
        yield Text((left, bottom + 4), f"dead: {dying[0]} of {dying[1]} units", FONT, DEAD, "start")
