"""Costs as tables: of layers, of blocks, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.machine import rate_text
from netdsl.report.columns import aligned, size_text
from netdsl.report.cost import CostReport, Item
from netdsl.report.model import Report
from netdsl.report.text import heading

NUMBERS = ("MACs", "FLOPs", "read", "written", "FLOP/B")
TIMES = ("time", "bound")
SPARE = ("written", "read", "MACs", "op", "bound", "FLOP/B")
"""Left out on a narrow terminal, in this order."""


def cost_text(report: Report, cost: CostReport, width: int | None = None) -> str:
    """The whole cost report as text, ending in a line feed; in ``width`` characters without columns of ``SPARE``."""
    numbers = (*NUMBERS, *TIMES) if cost.machine else NUMBERS
    layers: list[Sequence[str]] = [("layer", "op", *numbers)]
    layers += [(item.name, node.op, *_cells(item, cost)) for node, item in cost.layers.items()]
    blocks: list[Sequence[str]] = [("block", "layers", *numbers)]
    blocks += [(item.name, f"{item.layers:,}", *_cells(item, cost)) for item in cost.blocks]
    sums: list[Sequence[str]] = [("", *numbers)]
    sums += [(name, *_cells(item, cost)) for name, item in _totals(cost)]
    tables: list[tuple[Sequence[Sequence[str]], int]]
    tables = [(layers, 2), (blocks, 1), (sums, 1)] if cost.blocks else [(layers, 2), (sums, 1)]
    shown = [_fitting(rows, width) for rows, _ in tables]
    lines = [f"{heading(report)}, batch {cost.batch}"]
    for (rows, text_columns), columns in zip(tables, shown, strict=True):
        lines += ["", *aligned([[row[column] for column in columns] for row in rows], text_columns)]
    left_out = [name for position, name in enumerate(layers[0]) if position not in shown[0]]
    if left_out:
        lines += ["", f"no room for {', '.join(left_out)}; a wider window shows them, and so does `| less -S`"]
    return "\n".join([*lines, "", *_summary(cost)]) + "\n"


def _fitting(rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Positions of the columns to show."""
    widths = [max(len(row[position]) for row in rows) + 2 for position in range(len(rows[0]))]
    shown = list(range(len(widths)))
    for name in SPARE if width is not None else ():
        if width is None or sum(widths[position] for position in shown) - 2 <= width:
            break
        if name in rows[0]:
            shown.remove(rows[0].index(name))
    return shown


def _totals(cost: CostReport) -> Iterator[tuple[str, Item]]:
    yield "layer by layer", cost.total
    yield "as compiled", cost.compiled


def _cells(item: Item, cost: CostReport) -> tuple[str, ...]:
    work = item.work
    counts = (work.macs, work.flops, work.bytes_read, work.bytes_written)
    numbers = (*(f"{count:,}" if count else "" for count in counts), intensity_text(work.intensity))
    return (*numbers, time_text(item.seconds), item.bound or "") if cost.machine else numbers


def _summary(cost: CostReport) -> Iterator[str]:
    for name, item in _totals(cost):
        yield f"{name}: {size_text(item.work.bytes)} moved"
    roof = cost.roof
    if cost.machine and roof:
        cores = cost.machine.cores if cost.threads is None else min(cost.threads, cost.machine.cores)
        rates = f"{rate_text(roof.flops, 'FLOP/s')}, {rate_text(roof.bandwidth, 'B/s')}"
        yield f"machine: {cost.machine.name}, {cores} core{'s' if cores != 1 else ''}: {rates}"
        yield f"times: operations at the peak, bytes from main memory, which limits below {roof.ridge:.3g} FLOP/B"


def intensity_text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def time_text(seconds: float | None) -> str:
    """Three digits and the unit that fits."""
    if not seconds:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
