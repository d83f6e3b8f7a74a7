"""What one unit of a layer sees of the input, exactly: an interval per axis, and the pixels in it.

Positions are those of pixel centres: pixel p lies at p, the first at 0. A window over padding reaches past the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from netdsl.analysis.receptive import AXES, Extent, Field, receptive_fields
from netdsl.diagnostics import Code, UserError, did_you_mean
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ops.base import AxisMap


@dataclass(frozen=True)
class Seen:
    """One axis: positions from ``low`` to ``high``, both included, of an input with ``length`` pixels.

    ``extent`` is that of the layer; None for a layer whose units have no place in the input.
    """

    axis: str
    low: Fraction
    high: Fraction
    length: int
    extent: Extent | None

    @property
    def first(self) -> int:
        """The first pixel, which may lie in the padding (below 0)."""
        return math.ceil(self.low)

    @property
    def last(self) -> int:
        return math.floor(self.high)

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    @property
    def before(self) -> int:
        """How many of the pixels lie in front of the image."""
        return min(self.count, max(0, -self.first))

    @property
    def after(self) -> int:
        """How many lie behind it."""
        return min(self.count, max(0, self.last - self.length + 1))

    @property
    def inside(self) -> int:
        return self.count - self.before - self.after


@dataclass(frozen=True)
class UnitField:
    """The field of the unit at ``at`` (row, column) of a layer; ``at`` is None where every unit has the same, because
    the layer has no rows and columns."""

    value: Value
    name: str
    input: Node
    at: tuple[int, int] | None
    rows: Seen
    cols: Seen

    @property
    def axes(self) -> tuple[Seen, Seen]:
        return self.rows, self.cols


def unit_field(graph: Graph, name: str, at: tuple[int, int] | None = None) -> UnitField:
    """The field of a unit (the one in the middle for None) of the layer, input or output ``name``.

    Behind ``flatten`` a unit has no place: it sees what all positions together see. Raises UserError for a name that
    is not there, for a unit outside the map, and where no input has height and width.
    """
    value = find_value(graph, name)
    fields = receptive_fields(graph).fields
    if value in fields:
        return _placed(value, name, fields[value], at)
    if at is not None:
        raise UserError.of(
            Code.BAD_INDEX,
            f"`{name}` is {_sizes(value)}: it has no rows and columns",
            help=f"name the layer alone: `{name}`",
        )
    frontier = list(_frontier(value, fields))
    if not frontier:
        raise UserError.of(Code.BAD_RANK, f"`{name}` depends on no input with height and width")
    return _everywhere(value, name, [(found, fields[found]) for found in frontier])


def find_value(graph: Graph, name: str) -> Value:
    """The value of a layer or input, or of an output, by name. Raises UserError."""
    known = {node.name: node.output for node in (*graph.inputs, *graph.layers)}
    known |= {output: value for output, value in graph.outputs.items() if output not in known}
    if name in known:
        return known[name]
    inside = [layer for layer in known if layer.startswith(f"{name}.")]
    help = f"`{name}` is a block; its last layer is `{inside[-1]}`" if inside else did_you_mean(name, known)
    raise UserError.of(Code.UNKNOWN_NAME, f"`{graph.name}` has no layer `{name}`", help=help)


def _placed(value: Value, name: str, field: Field, at: tuple[int, int] | None) -> UnitField:
    rows, columns = value.type.shape[1:]
    unit = (rows // 2, columns // 2) if at is None else at
    if not (0 <= unit[0] < rows and 0 <= unit[1] < columns):
        raise UserError.of(
            Code.BAD_INDEX,
            f"`{name}` has no unit ({unit[0]}, {unit[1]})",
            notes=[f"its map is {rows} x {columns}: rows 0 to {rows - 1}, columns 0 to {columns - 1}"],
        )
    lengths = field.input.types[0].shape[1:]
    maps = (field.rows, field.cols)
    seen = [
        Seen(axis, *_interval(found, place, place), length, Extent.of(found))
        for axis, found, place, length in zip(AXES, maps, unit, lengths, strict=True)
    ]
    return UnitField(value, name, field.input, unit, seen[0], seen[1])


def _everywhere(value: Value, name: str, sources: list[tuple[Value, Field]]) -> UnitField:
    """The union over all positions of all ``sources`` that show the first one's input."""
    origin = sources[0][1].input
    spans: tuple[list[tuple[Fraction, Fraction]], ...] = ([], [])
    for source, field in sources:
        if field.input is origin:
            for axis, found in enumerate((field.rows, field.cols)):
                spans[axis].append(_interval(found, 0, source.type.shape[axis + 1] - 1))
    lengths = origin.types[0].shape[1:]
    seen = [
        Seen(axis, min(low for low, _ in span), max(high for _, high in span), length, None)
        for axis, span, length in zip(AXES, spans, lengths, strict=True)
    ]
    return UnitField(value, name, origin, None, seen[0], seen[1])


def _interval(axis: AxisMap, first: int, last: int) -> tuple[Fraction, Fraction]:
    return axis.scale * first + axis.low, axis.scale * last + axis.high


def _frontier(value: Value, fields: Mapping[Value, Field]) -> Iterator[Value]:
    """The nearest values with a field that ``value`` depends on."""
    waiting, met = [value], {value}
    while waiting:
        for source in waiting.pop().node.inputs:
            if source in met:
                continue
            met.add(source)
            if source in fields:
                yield source
            else:
                waiting.append(source)


def _sizes(value: Value) -> str:
    return f"[{', '.join(map(str, value.type.shape))}]"
