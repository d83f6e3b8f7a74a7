"""Which lines of the file hold the memory peak: for the network, and for its training step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netdsl.diagnostics import Label, Unsupported
from netdsl.ir.graph import Graph
from netdsl.plan.layout import Blocked
from netdsl.plan.peak import Buffer, Peak, Written
from netdsl.report.columns import aligned, size_text
from netdsl.report.summary import shape_text
from netdsl.source import Span

MOST_WEIGHTS = 5
"""Weights that the text names; JSON has all."""


@dataclass(frozen=True)
class Planned:
    """One of the two peaks. ``peak`` is None where the target cannot run the graph; ``reason`` says why."""

    kind: str
    about: str
    peak: Peak | None
    reason: str = ""


@dataclass(frozen=True)
class Peaks:
    """Both peaks of a network at a batch on a target."""

    net: str
    target: str
    batch: int
    planned: tuple[Planned, ...]


def peaks_of(graph: Graph, step: Graph | None, target: str, batch: int, find: Callable[[Graph], Peak]) -> Peaks:
    """Plan a network and its training step (None: a default one, see ``default_step``) with ``find``."""
    from netdsl.report.default_step import default_loss_name, default_step

    loss = default_loss_name(graph) if step is None else "as the train block says"
    training = default_step(graph) if step is None else step
    kinds = ("inference", "", graph), ("training", f"loss: {loss}", training)
    return Peaks(graph.name, target, batch, tuple(_planned(*kind, find) for kind in kinds))


def _planned(kind: str, about: str, graph: Graph, find: Callable[[Graph], Peak]) -> Planned:
    try:
        return Planned(kind, about, find(graph))
    except Unsupported as error:
        return Planned(kind, about, None, str(error))


# -- lines of the file -------------------------------------------------------------------------------


def origin(spans: Iterable[Span]) -> Span | None:
    """The text that a value comes from. Layers that were fused into one have several; the last gives the result."""
    return max(spans, key=lambda span: (span.source.name, span.start, -span.end), default=None)


def lines_of(peak: Peak) -> list[tuple[Span, int, list[Buffer]]]:
    """Bytes and buffers of each piece of text, largest first. Buffers without any belong to no line."""
    found: dict[Span, list[Buffer]] = {}
    for buffer in peak.buffers:
        span = origin(span for value in buffer.values for span in value.spans)
        if span is not None:
            found.setdefault(span, []).append(buffer)
    lines = [(span, sum(buffer.bytes for buffer in buffers), buffers) for span, buffers in found.items()]
    return sorted(lines, key=lambda line: -line[1])


def labels_of(peak: Peak) -> list[Label]:
    """What a code frame says at each piece of text."""
    labels = []
    for span, size, buffers in lines_of(peak):
        names = buffer_name(buffers[0]) if len(buffers) == 1 else f"{len(buffers)} values"
        labels.append(Label(span, f"{size:,} bytes ({_percent(size, peak.bytes)}): {names}"))
    return labels


def buffer_name(buffer: Buffer) -> str:
    """The values in it, three at most."""
    names = [value.name for value in buffer.values]
    named = names if len(names) <= 3 else [names[0], f"{len(names) - 2} more", names[-1]]
    return f"working memory of {names[0]}" if buffer.scratch else ", ".join(named)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


# -- text --------------------------------------------------------------------------------------------


def plain_peaks(peaks: Peaks, color: bool, width: int) -> str:
    """Both peaks: the lines that hold them, everything alive, and the weights beside."""
    parts = [_text(peaks, planned, color, width) for planned in peaks.planned]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _text(peaks: Peaks, planned: Planned, color: bool, width: int) -> Iterator[str]:
    from netdsl.codeframe import frames

    about = f", {planned.about}" if planned.about else ""
    head = f"{peaks.net}: {planned.kind} peak at batch {peaks.batch}{about}"
    if planned.peak is None:
        yield f"{head}: not planned: {planned.reason}"
        return
    peak = planned.peak
    yield f"{head}: {size_text(peak.bytes)}"
    yield f"reached in step {peak.step + 1} of {peak.steps}: {peak.op} {peak.name}"
    yield ""
    yield from frames(labels_of(peak), color=color, width=width)
    yield ""
    rows = [(f"{buffer.bytes:,}", *_cells(buffer)) for buffer in peak.buffers]
    rows += [(f"{peak.between:,}", "between the buffers", "", "", "")] if peak.between else []
    rows.append((f"{peak.bytes:,}", "in all", "", "", ""))
    size = max(len(row[0]) for row in rows)
    yield from aligned([("bytes".rjust(size), "value", "op", "shape", "line"),
                        *((row[0].rjust(size), *row[1:]) for row in rows)], text_columns=5)  # fmt: skip
    yield ""
    yield from _weights(peak)


def _cells(buffer: Buffer) -> tuple[str, ...]:
    last = buffer.values[-1]
    shapes = dict.fromkeys(shape_text(value.type.shape) for value in buffer.values)
    ops = dict.fromkeys(value.op for value in buffer.values)
    shape = "" if buffer.scratch else " ".join(list(shapes)[:3]) + (" ..." if len(shapes) > 3 else "")
    return buffer_name(buffer), ", ".join(list(ops)[:3]), shape, _place(last)


def _place(value: Written) -> str:
    span = origin(value.spans)
    return f"{span.source.name}:{span.line}" if span is not None else ""


def _weights(peak: Peak) -> Iterator[str]:
    sizes = sorted(((4 * weight.layout.size, weight.name) for weight in peak.weights), key=lambda item: -item[0])
    yield f"weights, not in the peak: {peak.weights_bytes:,} bytes in {len(sizes)} arrays, resident all the time"
    for size, name in sizes[:MOST_WEIGHTS]:
        yield f"  {size:,} {name}"
    rest = sizes[MOST_WEIGHTS:]
    if rest:
        yield f"  {peak.weights_bytes - sum(size for size, _ in sizes[:MOST_WEIGHTS]):,} {len(rest)} more"


# -- JSON --------------------------------------------------------------------------------------------


def peaks_document(peaks: Peaks) -> dict[str, Any]:
    """The document of ``report --peak --json``: values and ``between_bytes`` add up to ``bytes``."""
    return {
        "net": peaks.net,
        "target": peaks.target,
        "batch": peaks.batch,
        "peaks": {planned.kind: _document(planned) for planned in peaks.planned},
    }


def _document(planned: Planned) -> dict[str, Any]:
    peak = planned.peak
    if peak is None:
        return {"bytes": None, "reason": planned.reason}
    return {
        "bytes": peak.bytes,
        "step": {"number": peak.step, "of": peak.steps, "op": peak.op, "name": peak.name, **_where(peak.spans)},
        "buffers": [
            {"bytes": buffer.bytes, "scratch": buffer.scratch, "values": list(map(_value, buffer.values))}
            for buffer in peak.buffers
        ],
        "between_bytes": peak.between,
        "lines": [
            {**_where([span]), "text": span.text, "bytes": size, "buffers": len(buffers)}
            for span, size, buffers in lines_of(peak)
        ],
        "weights_bytes": peak.weights_bytes,
        "weights": [
            {"name": weight.name, "bytes": 4 * weight.layout.size, "packed": not isinstance(weight.layout, Blocked)}
            for weight in peak.weights
        ],
    }


def _value(value: Written) -> dict[str, Any]:
    return {"name": value.name, "op": value.op, "shape": list(value.type.shape), **_where(value.spans)}


def _where(spans: Iterable[Span]) -> dict[str, Any]:
    span = origin(spans)
    return {"file": span.source.name if span else None, "line": span.line if span else None}
