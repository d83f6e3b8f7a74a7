"""Equal elementwise layers over all slices of a value become one over the value.

    a = slice(g, 0..4),  x = map(f)(p, a)             z = map(f)(concat(p, q), g)
    b = slice(g, 4..6),  y = map(f)(q, b)             x = slice(z, 0..4),  y = slice(z, 4..6)

Where branches that end in a relu are concatenated, the gradient of the concatenation is cut into slices and masked by
each branch's result; all of them together are the concatenation itself. The one layer left can then end the
convolution or the pool that computes the gradient, which no layer behind a slice can.

It is done where the slices are all there is of the value, nobody else reads it, and what else the layers read is
parts of values that are there as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from netdsl.ir.graph import Graph, Node, Uses, Value
from netdsl.ir.scalar import Expr
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.elementwise import Scalar, scalar_of
from netdsl.passes.sweep import Sweep
from netdsl.record import record


@record
class Group:
    """Layers over the slices of one value, in the order of channels, and the operands of the one in their place."""

    layers: list[Node]
    slices: list[Node]
    expr: Expr
    operands: list[Value]


@record
class MergeSlices(Pass):
    """See the module."""

    name: ClassVar[str] = "merge_slices"

    def run(self, graph: Graph, log: Log) -> None:
        slices = _slices(graph)
        if not slices:
            return
        order = {node: index for index, node in enumerate(graph.nodes)}
        uses, results = graph.uses(), set(graph.results())
        groups: dict[Node, Group] = {}
        for source, parts in slices.items():
            layers = _layers(parts, uses, results)
            scalars = [scalar_of(node, log.training) for node in layers]
            if len(parts) < 2 or len(set(layers)) < len(parts) or None in scalars:
                continue
            first = min(layers, key=order.__getitem__)
            found = _group(source, parts, layers, [scalar for scalar in scalars if scalar], uses)
            if isinstance(found, Group) and any(order[value.node] > order[first] for value in found.operands):
                found = f"{first.name} runs before all of its operands are there"
            if isinstance(found, Group):
                groups[first] = found
            else:
                log.refused(first, found)
        if groups:
            _rewrite(graph, log, groups)


def _slices(graph: Graph) -> dict[Value, list[Node]]:
    """The slices of each value, in the order of their channels."""
    found: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "slice" and node.epilogue is None:
            found.setdefault(node.inputs[0], []).append(node)
    return {source: sorted(parts, key=lambda part: int(part.attrs["start"])) for source, parts in found.items()}


def _layers(parts: Sequence[Node], uses: Uses, results: set[Value]) -> list[Node]:
    """The layer that alone reads each slice; none for a slice that others need, too."""
    readers = [uses.get(part.output, []) for part in parts if part.output not in results]
    return [found[0][0] for found in readers if len(found) == 1]


def _group(source: Value, parts: list[Node], layers: list[Node], scalars: Sequence[Scalar], uses: Uses) -> Group | str:
    """The layers as one, or why they can't be."""
    whole = {reader for reader, _ in uses[source]} == set(parts)
    ends = [0, *(part.attrs["stop"] for part in parts)]
    if not whole or [*(part.attrs["start"] for part in parts), source.type.shape[0]] != ends:
        return f"{source.name} is more than the slices that are read alone"
    if len({(scalar.expr, len(scalar.operands)) for scalar in scalars}) > 1:
        return f"the layers over the slices of {source.name} differ"
    operands = [_joined(column, parts, uses) for column in zip(*(scalar.operands for scalar in scalars), strict=True)]
    there = [value for value in operands if value is not None]
    if len(there) < len(operands):
        return f"what is read beside the slices of {source.name} is nowhere in one piece"
    return Group(layers, parts, scalars[0].expr, there)


def _joined(column: Sequence[Value], parts: Sequence[Node], uses: Uses) -> Value | None:
    """The value that consists of these as ``parts`` do: what they are slices of, or their concatenation."""
    if any(value.type != part.types[0] for value, part in zip(column, parts, strict=True)):
        return None
    if all(value.node.op == "slice" and value.node.epilogue is None for value in column):
        sources = {value.node.inputs[0] for value in column}
        alike = all(value.node.attrs == part.attrs for value, part in zip(column, parts, strict=True))
        source = sources.pop()
        return source if alike and not sources and source.type == parts[0].inputs[0].type else None
    for reader, _ in uses[column[0]]:
        if reader.op == "concat" and reader.epilogue is None and tuple(reader.inputs) == tuple(column):
            return reader.output
    return None


def _rewrite(graph: Graph, log: Log, groups: dict[Node, Group]) -> None:
    """Put the one layer in the place of a group's first, which is the key, and slices in those of all."""
    instead: dict[Node, Value] = {}
    sweep = Sweep(graph)
    for node in sweep:
        if group := groups.get(node):
            log.rewrote(group.layers, f"one layer instead of {len(group.layers)}: {group.expr}")
            build = sweep.build
            build.spans = union_of_spans(group.layers)
            operands = [sweep.current(value) for value in group.operands]
            name = graph.unique_name(f"{node.name}.whole")
            whole = build.op("map", operands, {"expr": group.expr}, name=name).output
            for layer, part in zip(group.layers, group.slices, strict=True):
                name = graph.unique_name(f"{layer.name}.slice")
                instead[layer] = build.op("slice", [whole], part.attrs, name=name).output
        if node in instead:
            sweep.replace(node, [instead[node]])
