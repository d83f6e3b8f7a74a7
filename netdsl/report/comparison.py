"""Networks side by side: a table of their numbers, and operations against parameters as a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from netdsl.report.document import pair
from netdsl.report.model import Report

COLUMNS = ("net", "input", "params", "macs", "flops", "inference_peak_bytes", "training_peak_bytes", "field")


@dataclass(frozen=True)
class Entry:
    """One network. ``field`` is the largest receptive field of a window (pixels, vertical and horizontal where they
    differ); peaks are None where the target cannot run the network."""

    net: str
    input: str
    params: int
    macs: int
    flops: int
    inference_peak_bytes: int | None
    training_peak_bytes: int | None
    field: int | float | list[int | float] | None


def entry(name: str, report: Report) -> Entry:
    fields = [row.field for row in report.rows if row.field is not None and row.op in ("conv", "deconv", "local")]
    largest = max(fields, key=lambda field: field.height.size * field.width.size, default=None)
    return Entry(
        name,
        ", ".join("x".join(map(str, shape)) for shape in report.inputs.values()),
        report.totals.params,
        report.totals.macs,
        report.totals.flops,
        report.memory.inference_peak,
        report.memory.training_peak,
        pair(largest.height.size, largest.width.size) if largest is not None else None,
    )


def csv_table(entries: Sequence[Entry]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(item, column) for column in COLUMNS] for item in entries)
    return stream.getvalue()


def markdown_table(entries: Sequence[Entry]) -> str:
    rows = [COLUMNS, tuple("---" if index < 2 else "---:" for index in range(len(COLUMNS))), *map(_cells, entries)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def plain_table(entries: Sequence[Entry]) -> str:
    rows = [COLUMNS, *map(_cells, entries)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _cells(item: Entry) -> tuple[str, ...]:
    return tuple(_cell(getattr(item, column)) for column in COLUMNS)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else str(value)


# -- the picture -------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, BOTTOM, EDGE = 760, 520, 80, 60, 30


def svg_plot(entries: Sequence[Entry]) -> str:
    """MACs (across) against parameters (up), both logarithmic, as in Canziani, Paszke and Culurciello 2016."""
    macs = _decades([item.macs for item in entries])
    params = _decades([item.params for item in entries])
    parts = [*_grid(macs, params)]
    for item in entries:
        x, y = _across(item.macs, macs), _up(item.params, params)
        title = escape(f"{item.net}: {item.params:,} parameters, {item.macs:,} MACs")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#2b6cb0"><title>{title}</title></circle>')
        side, dx = ("end", -10) if x > WIDTH * 0.8 else ("start", 10)
        parts.append(f'<text x="{x + dx:.1f}" y="{y + 4:.1f}" text-anchor="{side}">{escape(item.net)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    return (
        f'{head} font-size="13">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _decades(values: Sequence[int]) -> tuple[int, int]:
    """Exponents of the powers of ten around positive values."""
    low, high = (math.log10(max(1, bound)) for bound in (min(values), max(values)))
    return math.floor(low), max(math.ceil(high), math.floor(low) + 1)


def _place(value: int, decades: tuple[int, int]) -> float:
    return (math.log10(max(1, value)) - decades[0]) / (decades[1] - decades[0])


def _across(value: int, decades: tuple[int, int]) -> float:
    return LEFT + _place(value, decades) * (WIDTH - LEFT - EDGE)


def _up(value: int, decades: tuple[int, int]) -> float:
    return HEIGHT - BOTTOM - _place(value, decades) * (HEIGHT - BOTTOM - EDGE)


def _grid(macs: tuple[int, int], params: tuple[int, int]) -> list[str]:
    bottom, line = HEIGHT - BOTTOM, 'stroke="#ddd"'
    parts = []
    for power in range(macs[0], macs[1] + 1):
        x = _across(10**power, macs)
        parts.append(f'<path d="M{x:.1f} {EDGE}V{bottom}" {line}/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_power(power)}</text>')
    for power in range(params[0], params[1] + 1):
        y = _up(10**power, params)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - EDGE}" {line}/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_power(power)}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 14}" text-anchor="middle">MACs a sample</text>')
    middle = HEIGHT / 2
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">parameters</text>')
    return parts


def _power(power: int) -> str:
    units = "", "k", "M", "G", "T", "P"
    return f"{10 ** (power % 3)}{units[power // 3]}" if power // 3 < len(units) else f"1e{power}"
