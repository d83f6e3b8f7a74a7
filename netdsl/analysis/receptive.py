"""Receptive fields: which part of the image each value sees, as exact rational intervals.

One walk along the graph composes the maps of the ops (:class:`netdsl.ops.base.AxisMap`). Where paths join, the field
is the union of theirs. An operand that is repeated over height and width (a gate ``[C, 1, 1]`` on ``[C, H, W]``) is
left out of the union: a gate made by global pooling sees the whole image, and so would everything behind it.
Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from netdsl.diagnostics import Code, Diagnostic, Label, Level
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ops.base import POINTWISE, AxisMap, Call, ReceptiveRule, get
from netdsl.record import record, struct
from netdsl.source import Span

AXES = ("height", "width")


@struct
class Extent:
    """The field along one axis, in pixels of the input.

    ``size`` pixels are seen by one position, neighbours are ``jump`` apart (the effective stride), and the centre of
    the first lies at ``start`` (0 is the centre of the first pixel; it may be negative or lie between pixels).
    """

    size: Fraction
    jump: Fraction
    start: Fraction

    @staticmethod
    def of(axis: AxisMap) -> Extent:
        return Extent(axis.high - axis.low + 1, axis.scale, (axis.low + axis.high) / 2)


@record
class Field:
    """What a position of a ``[C, H, W]`` value sees of ``input``."""

    input: Node
    rows: AxisMap
    cols: AxisMap

    @property
    def height(self) -> Extent:
        return Extent.of(self.rows)

    @property
    def width(self) -> Extent:
        return Extent.of(self.cols)


@record
class Receptive:
    """Fields of all values that have one, and warnings about joins whose paths do not line up.

    A value behind ``flatten`` has none. A value that several inputs reach has the field in the first of them.
    """

    fields: dict[Value, Field]
    warnings: tuple[Diagnostic, ...]


def receptive_fields(graph: Graph) -> Receptive:
    """One linear walk over ``graph``."""
    fields: dict[Value, Field] = {}
    warnings: list[Diagnostic] = []
    for node in graph.nodes:
        if node.op == "input" and len(node.types[0].shape) == 3:
            whole = AxisMap.identity()
            fields[node.output] = Field(node, whole, whole)
            continue
        paths = _paths(node, fields)
        if not paths:
            continue
        if len(paths) > 1 and (finding := _misaligned(node, paths)) is not None:
            warnings.append(finding)
        for value in node.outputs:
            if len(value.type.shape) == 3:
                fields[value] = _union(paths, value.type.shape)
    return Receptive(fields, tuple(warnings))


def _paths(node: Node, fields: dict[Value, Field]) -> list[Field]:
    """The field of the result as each operand alone would give it; those of another input left out."""
    found: list[Field] = []
    inputs = [(operand, value, fields[value]) for operand, value in enumerate(node.main_inputs) if value in fields]
    if not inputs:
        return found
    op, call = get(node.op), Call.of(node)
    for operand, value, inner in inputs:
        if found and inner.input is not found[0].input:
            continue
        if _is_repeated(node, value) and op.scalar(call) is not None:
            continue
        rule = op.receptive(call, operand)
        if rule is POINTWISE:
            found.append(inner)
        elif rule is not None:
            found.append(_behind(rule, inner))
    return found


def _behind(rule: ReceptiveRule, inner: Field) -> Field:
    """The field of what an op computes from a value with the field ``inner``; square where both are."""
    (rows, cols), is_square = rule, rule[0] is rule[1] and inner.rows is inner.cols
    vertical = rows.after(inner.rows)
    return Field(inner.input, vertical, vertical if is_square else cols.after(inner.cols))


def _is_repeated(node: Node, value: Value) -> bool:
    """Whether broadcasting, where the node is elementwise, repeats the operand over positions of the result."""
    return value.type.shape[1:] != node.types[0].shape[1:]


def _union(paths: Sequence[Field], shape: tuple[int, ...]) -> Field:
    if len(paths) == 1:
        return paths[0]
    rows = union([path.rows for path in paths], shape[1])
    cols = union([path.cols for path in paths], shape[2])
    return Field(paths[0].input, rows, cols)


def union(maps: Sequence[AxisMap], length: int) -> AxisMap:
    """The smallest map with the first's scale that covers all of them at positions 0 ... length - 1."""
    scale = maps[0].scale
    if all(axis == maps[0] for axis in maps):
        return maps[0]
    drift = [(axis.scale - scale) * (length - 1) for axis in maps]
    low = min(axis.low + min(Fraction(0), d) for axis, d in zip(maps, drift, strict=True))
    high = max(axis.high + max(Fraction(0), d) for axis, d in zip(maps, drift, strict=True))
    return AxisMap(scale, low, high)


# -- joins that do not line up -----------------------------------------------------------------


def _misaligned(node: Node, paths: Sequence[Field]) -> Diagnostic | None:
    """A warning if two paths see different places at the same position."""
    notes = []
    for name, maps in (("height", [p.rows for p in paths]), ("width", [p.cols for p in paths])):
        extents = [Extent.of(axis) for axis in maps if axis.scale]
        jumps = list(dict.fromkeys(extent.jump for extent in extents))
        starts = list(dict.fromkeys(extent.start for extent in extents))
        if len(jumps) > 1:
            notes.append(f"{name}: the paths move by {_listed(jumps)} pixels a position")
        elif len(starts) > 1:
            notes.append(f"{name}: the first position's centre lies at {_listed(starts)}")
    if not notes:
        return None
    span = min(node.spans, key=lambda item: (item.source.name, item.start), default=None)
    label = Label(span, "joins paths that see different places") if span is not None else None
    title = f"the operands of `{node.op}` do not line up"
    return Diagnostic(Code.MISALIGNED_JOIN, Level.WARNING, title, label, _operand_labels(node, span), tuple(notes))


def _operand_labels(node: Node, span: Span | None) -> tuple[Label, ...]:
    places = dict.fromkeys(place for value in node.inputs for place in sorted(value.node.spans, key=_order))
    return tuple(Label(place) for place in places if place != span)[:2]


def _order(span: Span) -> tuple[str, int]:
    return span.source.name, span.start


def _listed(numbers: Sequence[Fraction]) -> str:
    return " and ".join(number_text(number) for number in numbers)


def number_text(number: Fraction) -> str:
    """A fraction as people write it: 2.5, or 1/3 where no short decimal says it exactly."""
    if number.denominator == 1:
        return str(number.numerator)
    text = f"{float(number):.6g}"
    return text if Fraction(text) == number else f"{number.numerator}/{number.denominator}"
