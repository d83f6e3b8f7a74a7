"""Networks side by side: a table of their numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from netdsl.report.columns import line, markdown
from netdsl.report.document import pair
from netdsl.report.model import Report

COLUMNS = ("net", "input", "params", "macs", "flops", "inference_peak_bytes", "training_peak_bytes", "field")
TEXT_COLUMNS = 2


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
    return markdown([COLUMNS, *map(_cells, entries)], TEXT_COLUMNS)


def plain_table(entries: Sequence[Entry]) -> str:
    rows = [COLUMNS, *map(_cells, entries)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    return "".join(f"{line(row, widths, TEXT_COLUMNS)}\n" for row in rows)


def _cells(item: Entry) -> tuple[str, ...]:
    return tuple(_cell(getattr(item, column)) for column in COLUMNS)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else str(value)
