"""The report as a JSON document (schema 1). Fields are only ever added.

A receptive-field number is whole where it is whole and a fraction otherwise (2.5); it is a pair [vertical,
horizontal] where the two differ. ``receptive_field`` is null where there is no spatial relation to the input. What
``--cost`` adds is in ``cost_document``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from netdsl.report.model import Report, Row

SCHEMA = 1


def report_document(report: Report) -> dict[str, Any]:
    """The whole document, ready for ``json.dumps``."""
    memory = report.memory
    return {
        "schema": SCHEMA,
        "net": report.net,
        "inputs": {name: list(shape) for name, shape in report.inputs.items()},
        "outputs": {name: list(shape) for name, shape in report.outputs.items()},
        "layers": [_layer(row) for row in report.rows],
        "totals": {
            "params": report.totals.params,
            "trainable_params": report.totals.trainable_params,
            "statistics": report.statistics,
            "macs": report.totals.macs,
            "flops": report.totals.flops,
        },
        "memory": {
            "weights_bytes": memory.weights,
            "inference_peak_bytes": memory.inference_peak,
            "training_peak_bytes": memory.training_peak,
            "batch": memory.batch,
            "target": memory.target,
            "training_loss": memory.training_loss,
            "reasons": list(memory.reasons),
        },
    }


def _layer(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "op": row.op,
        "output_shape": list(row.output_shape),
        "params": row.cost.params,
        "shared": row.shared,
        "macs": row.cost.macs,
        "flops": row.cost.flops,
        "receptive_field": _field(row),
        "pads": list(row.pads) if row.pads else None,
        "file": row.file,
        "line": row.line,
    }


def _field(row: Row) -> dict[str, Any] | None:
    if row.field is None:
        return None
    vertical, horizontal = row.field.height, row.field.width
    return {
        "size": pair(vertical.size, horizontal.size),
        "jump": pair(vertical.jump, horizontal.jump),
        "start": pair(vertical.start, horizontal.start),
    }


def pair(vertical: Fraction, horizontal: Fraction) -> int | float | list[int | float]:
    """One number, or both axes where they differ."""
    if vertical == horizontal:
        return number(vertical)
    return [number(vertical), number(horizontal)]


def number(value: Fraction) -> int | float:
    """Whole where it is whole."""
    return int(value) if value.denominator == 1 else float(value)
