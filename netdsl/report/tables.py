"""The layers of a report as a table for other programs (CSV) or for a page (Markdown)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from netdsl.report.columns import markdown
from netdsl.report.cost import CostReport
from netdsl.report.cost_text import intensity_text, time_text
from netdsl.report.document import number
from netdsl.report.model import Report, Row
from netdsl.report.text import COLUMNS, TEXT_COLUMNS, row_cells

CSV_COLUMNS = (
    "layer", "op", "output", "params", "shared", "macs", "flops",
    "field_height", "field_width", "jump_height", "jump_width", "start_height", "start_width",
    "pad_top", "pad_bottom", "pad_left", "pad_right", "file", "line",
)  # fmt: skip
CSV_COST = ("batch", "batch_macs", "batch_flops", "bytes_read", "bytes_written", "intensity")
CSV_TIME = ("seconds", "bound")

MARKDOWN_COST = ("layer", "op", "output", "params", "MACs", "FLOPs", "bytes read", "bytes written", "FLOP/byte")


def csv_table(report: Report, cost: CostReport | None = None) -> str:
    """One line a layer, one number a cell; ``macs`` and ``flops`` are of one sample, costs of the whole batch."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    extra = ((*CSV_COST, *CSV_TIME) if cost.machine else CSV_COST) if cost else ()
    writer.writerow((*CSV_COLUMNS, *extra))
    for row in report.rows:
        writer.writerow((*_csv_cells(row), *(_csv_cost(row, cost) if cost else ())))
    return stream.getvalue()


def _csv_cells(row: Row) -> Iterable[Any]:
    field = row.field
    axes: list[Any] = [""] * 6
    if field is not None:
        both = (field.height, field.width)
        axes = [number(getattr(axis, name)) for name in ("size", "jump", "start") for axis in both]
    pads = row.pads or [""] * 4
    shape = "x".join(map(str, row.output_shape))
    shared = "yes" if row.shared else "no"
    cost = row.cost
    return row.name, row.op, shape, cost.params, shared, cost.macs, cost.flops, *axes, *pads, row.file, row.line


def _csv_cost(row: Row, cost: CostReport) -> Iterable[Any]:
    item = cost.layers.get(row.cost.node)
    if item is None:
        return [""] * len((*CSV_COST, *CSV_TIME) if cost.machine else CSV_COST)
    work = item.work
    cells = (cost.batch, work.macs, work.flops, work.bytes_read, work.bytes_written, work.intensity)
    return (*cells, item.seconds, item.bound) if cost.machine else cells


def markdown_table(report: Report, cost: CostReport | None = None) -> str:
    """The report's table, or that of the costs of a batch, with the sums in the last row."""
    if cost is None:
        total = ("total", "", "", f"{report.totals.params:,}", f"{report.totals.macs:,}", f"{report.totals.flops:,}")
        rows = [COLUMNS, *map(_markdown_cells, report.rows), (*total, *[""] * 4)]
    else:
        columns = (*MARKDOWN_COST, "time", "bound") if cost.machine else MARKDOWN_COST
        rows = [columns, *(_markdown_cost(row, cost) for row in report.rows), _markdown_total(report, cost)]
    return markdown(rows, TEXT_COLUMNS)


def _markdown_cells(row: Row) -> Sequence[str]:
    """The report's cells, the shape without brackets, which begin links here."""
    name, op, _, *others = row_cells(row)
    return name, op, "x".join(map(str, row.output_shape)), *others


def _markdown_cost(row: Row, cost: CostReport) -> Sequence[str]:
    name, op, shape, params = _markdown_cells(row)[:4]
    item = cost.layers.get(row.cost.node)
    if item is None:
        return (name, op, shape, params, *[""] * (7 if cost.machine else 5))
    work = item.work
    counts = [f"{count:,}" if count else "" for count in (work.macs, work.flops, work.bytes_read, work.bytes_written)]
    cells = (name, op, shape, params, *counts, intensity_text(work.intensity))
    return (*cells, time_text(item.seconds), item.bound or "") if cost.machine else cells


def _markdown_total(report: Report, cost: CostReport) -> Sequence[str]:
    work = cost.total.work
    counts = (report.totals.params, work.macs, work.flops, work.bytes_read, work.bytes_written)
    cells = ("total", "", "", *(f"{count:,}" for count in counts), intensity_text(work.intensity))
    return (*cells, time_text(cost.total.seconds), cost.total.bound or "") if cost.machine else cells
