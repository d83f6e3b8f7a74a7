"""What the page of ``netdsl report --html`` draws, as a JSON document: layers, blocks and their layout.

``nodes`` are inputs, layers and outputs. ``blocks`` is the tree (the first is the whole network); each has items

    ["node", n]  ["block", b]  ["in", n]  ["out", n]  ["way"]

where ``in`` and ``out`` are the places where the value of node n passes the block's border and ``way`` is a waypoint
of a long edge; ``ranks`` of items, and edges [source item, target item, node whose value flows, waypoints].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from netdsl.analysis.receptive import number_text
from netdsl.ir.graph import Graph, Node
from netdsl.ops.base import get
from netdsl.plan.peak import Buffer
from netdsl.report.blocks import Block, Leaf, block_tree, leaves_of, owners
from netdsl.report.document import number
from netdsl.report.layered import Edge, arrange
from netdsl.report.model import Report, Row
from netdsl.report.peak import Peaks, buffer_name, origin
from netdsl.report.summary import arguments, summary
from netdsl.report.text import heading
from netdsl.report.text import summary as summary_lines

ELEMENT_BYTES = 4
MOST_HOLDERS = 12
"""Buffers of a memory peak that are named."""


def page_document(graph: Graph, report: Report, peaks: Peaks | None = None) -> dict[str, Any]:
    """The document of one network, with what holds its memory peaks where they are given."""
    leaves = leaves_of(graph)
    index = {leaf: position for position, leaf in enumerate(leaves)}
    places = {leaf.node: position for leaf, position in index.items() if leaf.node is not None}
    blocks = list(block_tree(leaves).blocks())
    rows = {row.cost.node: row for row in report.rows}
    return {
        "net": report.net,
        "heading": heading(report),
        "summary": list(summary_lines(report)),
        "totals": {
            "params": report.totals.params,
            "macs": report.totals.macs,
            "bytes": sum(_bytes(row.cost.node) for row in report.rows),
        },
        "nodes": [_node(leaf, rows, index, places) for leaf in leaves],
        "blocks": _blocks(blocks, index, leaves),
        "peaks": list(_peaks(peaks, {leaf.name: position for leaf, position in index.items()})) if peaks else [],
        "warnings": [f"{item.code.value}: {item.title}" for item in report.warnings],
    }


# -- layers ------------------------------------------------------------------------------------------


def _node(
    leaf: Leaf, rows: Mapping[Node, Row], index: Mapping[Leaf, int], places: Mapping[Node, int]
) -> dict[str, Any]:
    node = leaf.node
    if node is None:
        [source] = leaf.inputs
        assert source.node is not None
        return {**_still(leaf.name, "output", source.node), "from": [index[source]]}
    row = rows.get(node)
    if row is None:
        return {**_still(leaf.name, node.op, node), "from": []}
    return {
        "name": leaf.name,
        "op": node.op,
        "about": summary(node),
        "manual": " ".join(get(node.op).manual.partition("\n\n")[0].replace("``", "").split()),
        "args": arguments(node),
        "shape": list(node.types[0].shape),
        "params": row.cost.params,
        "shared": row.shared,
        "statistics": row.statistics,
        "macs": row.cost.macs,
        "flops": row.cost.flops,
        "bytes": _bytes(node),
        "field": _field(row, places),
        "at": f"{PurePath(row.file).name}:{row.line}" if row.line else "",
        "from": [index[source] for source in leaf.inputs],
    }


def _still(name: str, op: str, node: Node) -> dict[str, Any]:
    """An input or output, which computes nothing."""
    shape = list(node.types[0].shape)
    return {"name": name, "op": op, "about": "", "shape": shape, "params": 0, "macs": 0, "flops": 0, "bytes": 0}


def _bytes(node: Node) -> int:
    """Of all results, for one sample."""
    return sum(ELEMENT_BYTES * type.elements for type in node.types)


def _field(row: Row, places: Mapping[Node, int]) -> dict[str, Any] | None:
    """Interval [scale o + low, scale o + high] of the input for both axes, and the numbers in words."""
    if row.field is None:
        return None
    found = row.field
    axes = [(found.rows, found.height), (found.cols, found.width)]
    return {
        "input": places[found.input],
        "axes": [[number(axis.scale), number(axis.low), number(axis.high)] for axis, _ in axes],
        "size": " × ".join(number_text(extent.size) for _, extent in axes),
        "jump": " × ".join(number_text(extent.jump) for _, extent in axes),
        "start": " × ".join(number_text(extent.start) for _, extent in axes),
    }


def _peaks(peaks: Peaks, numbers: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """The largest buffers of each peak that was planned, with the layers to whose values or gradients they belong."""
    for planned in peaks.planned:
        peak = planned.peak
        if peak is None:
            continue
        values = [_holder(buffer, numbers) for buffer in peak.buffers[:MOST_HOLDERS]]
        rest = peak.buffers[MOST_HOLDERS:]
        for name, size in (
            (f"{len(rest)} more", sum(buffer.bytes for buffer in rest)),
            ("between the buffers", peak.between),
        ):
            values += [{"name": name, "bytes": size, "node": None, "at": ""}] if size else []
        step = f"{peak.step + 1} of {peak.steps}: {peak.op} {peak.name}"
        yield {"kind": planned.kind, "batch": peaks.batch, "bytes": peak.bytes, "step": step, "values": values}


def _holder(buffer: Buffer, numbers: Mapping[str, int]) -> dict[str, Any]:
    last = buffer.values[-1]
    owner = last.name.partition(".grad.")[0]
    span = origin(last.spans)
    at = f"{PurePath(span.source.name).name}:{span.line}" if span else ""
    return {"name": buffer_name(buffer), "bytes": buffer.bytes, "node": numbers.get(owner), "at": at}


# -- blocks ------------------------------------------------------------------------------------------


def _blocks(blocks: Sequence[Block], index: Mapping[Leaf, int], leaves: Sequence[Leaf]) -> list[dict[str, Any]]:
    numbers = {block: position for position, block in enumerate(blocks)}
    readers: dict[Leaf, list[Leaf]] = {}
    for leaf in leaves:
        for source in leaf.inputs:
            readers.setdefault(source, []).append(leaf)
    return [_Layout(block, index, numbers, readers).document() for block in blocks]


class _Layout:
    """One block with its parts placed in ranks."""

    def __init__(
        self,
        block: Block,
        index: Mapping[Leaf, int],
        numbers: Mapping[Block, int],
        readers: Mapping[Leaf, Sequence[Leaf]],
    ) -> None:
        self.block, self.index = block, index
        self.parts = owners(block)
        self.items: list[list[Any]] = []
        self.place = {part: position for position, part in enumerate(block.parts)}
        for part in block.parts:
            self.items.append(["block", numbers[part]] if isinstance(part, Block) else ["node", index[part]])
        self.borders: dict[tuple[str, Leaf], int] = {}
        self.edges: dict[Edge, None] = {}
        self._connect(readers)

    def _connect(self, readers: Mapping[Leaf, Sequence[Leaf]]) -> None:
        for leaf, part in self.parts.items():
            for source in leaf.inputs:
                origin = self.parts.get(source)
                if origin is not part:
                    start = self._border("in", source) if origin is None else self.place[origin]
                    self._edge(start, self.place[part], source)
            if any(reader not in self.parts for reader in readers.get(leaf, ())):
                self._edge(self.place[part], self._border("out", leaf), leaf)

    def _border(self, kind: str, leaf: Leaf) -> int:
        if (kind, leaf) not in self.borders:
            self.borders[kind, leaf] = len(self.items)
            self.items.append([kind, self.index[leaf]])
        return self.borders[kind, leaf]

    def _edge(self, source: int, target: int, leaf: Leaf) -> None:
        self.edges[Edge(source, target, self.index[leaf])] = None

    def document(self) -> dict[str, Any]:
        edges = list(self.edges)
        kinds = [(kind, place) for (kind, _), place in self.borders.items()]
        first, last = (frozenset(place for kind, place in kinds if kind == side) for side in ("in", "out"))
        layout = arrange(len(self.items), edges, first, last)
        waypoints = sum(map(len, layout.ranks)) - len(self.items)
        return {
            "name": self.block.name,
            "items": [*self.items, *(["way"] for _ in range(waypoints))],
            "ranks": layout.ranks,
            "edges": [[*edge, route] for edge, route in zip(edges, layout.routes, strict=True)],
        }
