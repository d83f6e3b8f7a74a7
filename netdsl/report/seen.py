"""What one unit sees, as text and as JSON (schema 1; fields are only ever added)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from netdsl.analysis.receptive import Extent, number_text, receptive_fields
from netdsl.analysis.unit import Seen, UnitField
from netdsl.ir.graph import Graph
from netdsl.report.columns import aligned
from netdsl.report.document import number, pair
from netdsl.report.summary import shape_text

COLUMNS = ("axis", "size", "jump", "start", "interval", "pixels", "in the image", "in the padding")


def plain_seen(graph: Graph, found: UnitField) -> str:
    """The field in words and numbers; for a layer whose units have no place, also the layers whose units do."""
    table = aligned([COLUMNS, *map(_cells, found.axes)], text_columns=1)
    lines = [heading(graph, found), "", *table, "", sentence(found)]
    if found.at is None:
        layers = aligned(list(_layers(graph)), text_columns=2)
        lines += ["", "layers whose units have a place in the input:", "", *layers]
    return "\n".join(lines) + "\n"


def heading(graph: Graph, found: UnitField) -> str:
    """``Tiny: unit (8, 8) of stage2.conv1 [32, 16, 16] over image [1, 32, 32]``."""
    unit = f"unit ({found.at[0]}, {found.at[1]})" if found.at is not None else "any unit"
    source = f"{found.input.name} {shape_text(found.input.types[0].shape)}"
    return f"{graph.name}: {unit} of {found.name} {shape_text(found.value.type.shape)} over {source}"


def sentence(found: UnitField) -> str:
    """How much of the input that is."""
    rows, cols = found.axes
    inside, count = rows.inside * cols.inside, rows.count * cols.count
    whole = rows.length * cols.length
    part = f"{inside:,} of the {whole:,} pixels of {found.input.name} ({_percent(inside, whole)})"
    more = f"; {count - inside:,} more lie in the padding" if count > inside else ""
    if found.at is None:
        return f"Its units have no place in the input: each may see {part}{more}."
    return f"It sees {part}{more}."


def seen_document(graph: Graph, found: UnitField) -> dict[str, Any]:
    """Numbers as in ``receptive_field`` of the report; ``exact`` has them as fractions in text."""
    return {
        "net": graph.name,
        "layer": found.name,
        "op": found.value.node.op,
        "shape": list(found.value.type.shape),
        "input": found.input.name,
        "input_shape": list(found.input.types[0].shape),
        "unit": list(found.at) if found.at is not None else None,
        "axes": [_axis(seen) for seen in found.axes],
        "layers": [
            {"name": value.name, "size": pair(field.height.size, field.width.size)}
            for value, field in receptive_fields(graph).fields.items()
            if value.node.op != "input"
        ]
        if found.at is None
        else None,
    }


def _axis(seen: Seen) -> dict[str, Any]:
    numbers: dict[str, Fraction] = {"low": seen.low, "high": seen.high}
    if seen.extent is not None:
        numbers |= {"size": seen.extent.size, "jump": seen.extent.jump, "start": seen.extent.start}
    return {
        "axis": seen.axis,
        **{name: number(value) for name, value in numbers.items()},
        "exact": {name: str(value) for name, value in numbers.items()},
        "first": seen.first,
        "last": seen.last,
        "pixels": seen.count,
        "inside": seen.inside,
        "padding": [seen.before, seen.after],
    }


def _cells(seen: Seen) -> tuple[str, ...]:
    extent = seen.extent
    numbers = [number_text(value) for value in (extent.size, extent.jump, extent.start)] if extent else ["", "", ""]
    padding = f"{seen.before} before, {seen.after} after" if seen.before or seen.after else "0"
    interval = f"{number_text(seen.low)} .. {number_text(seen.high)}"
    return (seen.axis, *numbers, interval, f"{seen.count}", f"{seen.inside}", padding)


def _layers(graph: Graph) -> Iterator[tuple[str, ...]]:
    yield "layer", "output", "size", "jump", "start"
    for value, field in receptive_fields(graph).fields.items():
        if value.node.op != "input":
            axes = field.height, field.width
            yield value.name, shape_text(value.type.shape), *(_both(name, *axes) for name in ("size", "jump", "start"))


def _both(name: str, vertical: Extent, horizontal: Extent) -> str:
    first, second = number_text(getattr(vertical, name)), number_text(getattr(horizontal, name))
    return first if first == second else f"{first}x{second}"


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 9.5 or share == 0 else f"{share:.2g} %"
