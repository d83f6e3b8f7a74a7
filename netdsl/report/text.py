"""The report as a table: plain and the same every time in a file or pipe, with rich on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from netdsl.analysis.receptive import number_text
from netdsl.report.columns import aligned, size_text
from netdsl.report.model import Report, Row

COLUMNS = ("layer", "op", "output", "params", "MACs", "FLOPs", "field", "jump", "start", "pads")
TEXT_COLUMNS = 3
"""The first columns are text, set to the left; the others are numbers."""
SPARE = ("pads", "FLOPs", "start", "jump", "field")
"""Left out on a narrow terminal, in this order."""


def plain_report(report: Report) -> str:
    """The whole report as text, ending in a line feed."""
    rows = [COLUMNS, *map(row_cells, report.rows)]
    return "\n".join([heading(report), "", *aligned(rows, TEXT_COLUMNS), "", *summary(report)]) + "\n"


def print_rich(report: Report) -> None:
    """The whole report on a terminal; where it is too narrow, without the columns of ``SPARE``."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    rows = [row_cells(row) for row in report.rows]
    shown = _fitting_columns([COLUMNS, *rows], console.width)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for position in shown:
        text = position < TEXT_COLUMNS
        fold = position == 0
        table.add_column(
            COLUMNS[position],
            justify="left" if text else "right",
            no_wrap=not fold,
            overflow="fold",
            min_width=16 if fold else None,
        )
    for row in rows:
        table.add_row(*(Text(row[position]) for position in shown))
    console.print(Text(heading(report), style="bold"), "", table, "", sep="\n")
    for line in summary(report):
        console.print(Text(line))
    if len(shown) < len(COLUMNS):
        left_out = ", ".join(name for position, name in enumerate(COLUMNS) if position not in shown)
        console.print(Text(f"no room for {left_out}; a wider window shows them, and so does `| less -S`"))


def _fitting_columns(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Positions of the columns to show in ``width`` characters, the layer's names folded if need be."""
    widths = [max(len(row[position]) for row in rows) + 2 for position in range(len(COLUMNS))]
    widths[0] = min(widths[0], 26)
    shown = list(range(len(COLUMNS)))
    for name in SPARE:
        if sum(widths[position] for position in shown) <= width:
            break
        shown.remove(COLUMNS.index(name))
    return shown


def heading(report: Report) -> str:
    inputs = ", ".join(f"{name} {_shape(shape)}" for name, shape in report.inputs.items())
    outputs = ", ".join(f"{name} {_shape(shape)}" for name, shape in report.outputs.items())
    return f"{report.net}: {inputs} -> {outputs}"


def summary(report: Report) -> Iterator[str]:
    """Totals and memory, one line each."""
    stored = any(row.statistics and row.op == "distance" for row in report.rows)
    kind = "numbers that are not learned" if stored else "running statistics"
    statistics = f" (and {report.statistics:,} {kind})" if report.statistics else ""
    memory = report.memory
    yield f"parameters       {report.totals.params:,}{statistics}"
    yield f"MACs             {report.totals.macs:,} a sample"
    yield f"FLOPs            {report.totals.flops:,} a sample"
    yield f"weights          {size_text(memory.weights)}"
    yield f"inference peak   {_peak(memory.inference_peak)} at batch {memory.batch}"
    yield f"training peak    {_peak(memory.training_peak)} at batch {memory.batch}, loss: {memory.training_loss}"
    for reason in memory.reasons:
        yield f"not planned: {reason}"


def row_cells(row: Row) -> tuple[str, ...]:
    """A layer as text, one cell for each of ``COLUMNS``."""
    params = f"{row.cost.params:,}" if not row.shared else f"{row.cost.params:,} shared"
    pads = ",".join(map(str, row.pads)) if row.pads else ""
    return (
        row.name,
        row.op,
        _shape(row.output_shape),
        params if row.cost.params or row.shared else "",
        f"{row.cost.macs:,}" if row.cost.macs else "",
        f"{row.cost.flops:,}" if row.cost.flops else "",
        *_field_cells(row),
        pads,
    )


def _field_cells(row: Row) -> tuple[str, str, str]:
    if row.field is None:
        return "", "", ""
    vertical = row.field.height
    horizontal = vertical if row.field.rows is row.field.cols else row.field.width
    return (
        _axes(vertical.size, horizontal.size),
        _axes(vertical.jump, horizontal.jump),
        _axes(vertical.start, horizontal.start),
    )


def _axes(vertical: Fraction, horizontal: Fraction) -> str:
    text = number_text(vertical)
    return text if vertical is horizontal or vertical == horizontal else f"{text}x{number_text(horizontal)}"


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _peak(count: int | None) -> str:
    return "unknown" if count is None else size_text(count)
