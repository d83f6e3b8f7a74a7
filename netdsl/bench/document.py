"""A measurement as JSON for other programs. Times are milliseconds, rates a second."""

from __future__ import annotations

from typing import Any

from netdsl.bench.measure import Bench, LayerTime


def bench_document(found: Bench) -> dict[str, Any]:
    """Without the schema's number, which the command line puts in front."""
    total = found.total
    machine = {key: value for key, value in found.machine.to_json().items() if key != "schema"}
    return {
        "net": found.net,
        "target": found.target,
        "batch": found.batch,
        "threads": found.threads,
        "rounds": found.rounds,
        "machine": machine,
        "milliseconds": {"median": _ms(total.median), "low": _ms(total.low), "high": _ms(total.high)},
        "least_milliseconds": _ms(found.least_seconds),
        "roofline": found.least_seconds / total.median,
        "layers": [layer_document(found, layer) for layer in found.layers],
    }


def layer_document(found: Bench, layer: LayerTime) -> dict[str, Any]:
    """One step. ``share`` is its part of all steps' time, ``roofline`` the least time over the measured."""
    step, work, seconds = layer.step, layer.work, layer.seconds
    least = found.roof.seconds(work)
    return {
        "name": step.name,
        "op": step.op,
        "line": min((span.line for span in step.spans), default=None),
        "output": list(step.output_types[0].shape),
        "milliseconds": _ms(seconds),
        "share": seconds / sum(other.seconds for other in found.layers),
        "macs": work.macs,
        "flops": work.flops,
        "bytes_read": work.bytes_read,
        "bytes_written": work.bytes_written,
        "flops_per_second": work.flops / seconds,
        "bytes_per_second": work.bytes / seconds,
        "bound": found.roof.bound(work),
        "least_milliseconds": _ms(least),
        "roofline": least / seconds,
    }


def _ms(seconds: float) -> float:
    return seconds * 1e3
