"""A measurement in the Trace Event Format, which Perfetto and chrome://tracing show as a time line.

The format is described in "Trace Event Format" by the Chromium authors; times are microseconds.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from netdsl.bench.document import layer_document
from netdsl.bench.measure import Bench
from netdsl.bench.text import heading

PROCESS = 1


def trace_document(found: Bench) -> dict[str, Any]:
    """One call of the network: its layers behind one another, each with its median time."""
    ends = accumulate(layer.seconds * 1e6 for layer in found.layers)
    name = {"name": "process_name", "ph": "M", "pid": PROCESS, "args": {"name": heading(found)}}
    events = [
        {
            "name": layer.step.name,
            "cat": layer.step.op,
            "ph": "X",
            "ts": end - layer.seconds * 1e6,
            "dur": layer.seconds * 1e6,
            "pid": PROCESS,
            "tid": PROCESS,
            "args": layer_document(found, layer),
        }
        for layer, end in zip(found.layers, ends, strict=True)
    ]
    return {"traceEvents": [name, *events], "displayTimeUnit": "ms"}
