"""A measurement as a table to read, the same in a terminal, a file or a pipe."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.bench.measure import Bench, LayerTime
from netdsl.report.columns import aligned
from netdsl.report.summary import shape_text

COLUMNS = ("layer", "op", "output", "time", "share", "GFLOP/s", "GB/s", "bound", "of roof")
TEXT_COLUMNS = 3


def bench_text(found: Bench) -> str:
    """The whole table, ending in a line feed."""
    whole = sum(layer.seconds for layer in found.layers)
    rows = [COLUMNS, *(_cells(found, layer, whole) for layer in found.layers)]
    return "\n".join([heading(found), "", *aligned(rows, TEXT_COLUMNS), "", *summary(found)]) + "\n"


def heading(found: Bench) -> str:
    return f"{found.net}, batch {found.batch}, {threads_text(found)}, {found.target}"


def threads_text(found: Bench) -> str:
    return "1 thread" if found.threads == 1 else f"{found.threads} threads"


def summary(found: Bench) -> Iterator[str]:
    """The network as a whole, and the machine, one line each."""
    total, roof = found.total, found.roof
    spread = f"{time_text(total.low)} to {time_text(total.high)} in {found.rounds} rounds"
    part = found.least_seconds / total.median
    yield f"network   {time_text(total.median)} a call ({spread}), {found.batch / total.median:,.0f} samples a second"
    yield f"roofline  {time_text(found.least_seconds)}, every layer at its roof: {part:.0%} of the time"
    yield f"machine   {found.machine.name}: {giga(roof.flops)} GFLOP/s, {giga(roof.bandwidth)} GB/s"


def _cells(found: Bench, layer: LayerTime, whole: float) -> tuple[str, ...]:
    work, seconds = layer.work, layer.seconds
    return (
        layer.step.name,
        layer.step.op,
        shape_text(layer.step.output_types[0].shape),
        time_text(seconds),
        f"{seconds / whole:.1%}",
        giga(work.flops / seconds) if work.flops else "",
        giga(work.bytes / seconds),
        found.roof.bound(work) or "",
        f"{found.roof.seconds(work) / seconds:.0%}",
    )


def time_text(seconds: float) -> str:
    """Three significant digits, in microseconds or milliseconds."""
    return f"{_digits(seconds * 1e6)} us" if seconds < 1e-3 else f"{_digits(seconds * 1e3)} ms"


def giga(rate: float) -> str:
    return _digits(rate / 1e9)


def _digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"
