"""What ``netdsl report --cost`` adds to the report's JSON document (schema 1).

Each layer gets ``cost``, and the document ``cost``: ``batch``; ``machine`` (the fields of ``netdsl.machine.Machine``,
null without ``--machine``) and ``threads`` (null: all its cores); ``total`` and ``compiled``, the layers of the file
and those after the passes; and ``blocks``, each with its ``name``, outer ones first. Every cost has, of the whole
batch:

``layers``         how many layers it sums (1 of a layer)
``macs``, ``flops``
``bytes_read``, ``bytes_written``
``intensity``      operations a byte, null where nothing is moved
``seconds``        max(flops / peak, bytes / bandwidth) of the machine, summed over layers; null without one
``bound``          "compute" or "memory", where most of that time goes; null without a machine, or for no time
"""

from __future__ import annotations

from typing import Any

from netdsl.report.cost import CostReport, Item
from netdsl.report.document import report_document
from netdsl.report.model import Report


def document_with_cost(report: Report, cost: CostReport) -> dict[str, Any]:
    """The report's document with the costs in it."""
    document = report_document(report)
    for row, layer in zip(report.rows, document["layers"], strict=True):
        item = cost.layers.get(row.cost.node)
        layer["cost"] = _item(item) if item else None
    document["cost"] = {
        "batch": cost.batch,
        "threads": cost.threads,
        "machine": cost.machine.to_json() if cost.machine else None,
        "total": _item(cost.total),
        "compiled": _item(cost.compiled),
        "blocks": [{"name": block.name, **_item(block)} for block in cost.blocks],
    }
    return document


def _item(item: Item) -> dict[str, Any]:
    work = item.work
    return {
        "layers": item.layers,
        "macs": work.macs,
        "flops": work.flops,
        "bytes_read": work.bytes_read,
        "bytes_written": work.bytes_written,
        "intensity": work.intensity,
        "seconds": item.seconds,
        "bound": item.bound,
    }
