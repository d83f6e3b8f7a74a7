"""What is known of a network without running it, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netdsl.analysis.cost import LayerCost, Totals, is_statistic, layer_costs, totals
from netdsl.analysis.receptive import Field, receptive_fields
from netdsl.diagnostics import Diagnostic
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph, Node, Value
from netdsl.record import record
from netdsl.report.memory import Memory, Planner, memory_of


@record
class Row:
    """One layer.

    ``shared``: it reads parameters that an earlier layer has, which count there. ``statistics`` counts what
    is measured or given but not learned (running means and variances, stored points). ``field`` is None where
    there is no spatial relation to an input.
    """

    cost: LayerCost
    statistics: int
    shared: bool
    field: Field | None
    pads: tuple[int, int, int, int] | None
    file: str
    line: int | None

    @property
    def name(self) -> str:
        return self.cost.node.name

    @property
    def op(self) -> str:
        return self.cost.node.op

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.cost.node.types[0].shape


@record
class Report:
    """A whole network; ``totals`` are for one sample."""

    net: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    rows: tuple[Row, ...]
    totals: Totals
    memory: Memory
    warnings: tuple[Diagnostic, ...]

    @property
    def statistics(self) -> int:
        return sum(row.statistics for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The document of ``netdsl report --json``."""
        from netdsl.report.document import report_document

        return report_document(self)

    def __str__(self) -> str:
        from netdsl.report.text import plain_report

        return plain_report(self)


def build_report(model: Model, step: Graph | None, planner: Planner) -> Report:
    """Analyse a network. ``step`` is its training step, None where the file does not say how to train it."""
    graph = model.graph
    receptive = receptive_fields(graph)
    rows = tuple(_rows(graph, receptive.fields))
    return Report(
        model.name,
        {node.name: node.output.type.shape for node in graph.inputs},
        {name: value.type.shape for name, value in graph.outputs.items()},
        rows,
        totals(row.cost for row in rows),
        memory_of(graph, step, planner),
        _not_allowed((*model.warnings, *receptive.warnings)),
    )


def _not_allowed(warnings: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """The warnings that no comment allows; without any, nothing is loaded to look."""
    if not warnings:
        return ()
    from netdsl.syntax.allowed import without_allowed

    return without_allowed(warnings)


def _rows(graph: Graph, fields: dict[Value, Field]) -> Iterator[Row]:
    seen: set[Node] = set()
    for cost in layer_costs(graph):
        node = cost.node
        owned = {value.node for value in node.inputs if value.node.op == "param"}
        fresh = owned - seen
        seen |= owned
        span = min(node.spans, key=lambda span: (span.source.name, span.start), default=None)
        yield Row(
            cost,
            statistics=sum(param.output.type.elements for param in fresh if is_statistic(param)),
            shared=fresh != owned,
            field=fields.get(node.output),
            pads=_pads(node),
            file=span.source.name if span else "",
            line=span.line if span else None,
        )


def _pads(node: Node) -> tuple[int, int, int, int] | None:
    """Top, bottom, left, right of layers that pad, as the words came out."""
    pad = node.attrs.get("pad")
    return pad if isinstance(pad, tuple) and len(pad) == 4 else None
