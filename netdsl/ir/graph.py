"""The layer graph: nodes with ordered operands.

Weights are operands too: a ``param`` node produces an unbatched value that a layer reads beside its
activations, so sharing, folding, autodiff and optimizers are all ordinary graph. Node kinds with a
fixed meaning here are ``input``, ``param`` and ``const``; all others are ops of the registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from netdsl.ir.scalar import Expr
from netdsl.ir.types import TensorType
from netdsl.record import record, struct
from netdsl.source import Span

if TYPE_CHECKING:
    import networkx

SOURCES = ("input", "param", "const")


@record
class Epilogue:
    """A scalar expression applied to a node's first result where it is stored.

    ``Var(0)`` is the op's own result, ``Var(1)`` ... ``Var(operands)`` are the node's last inputs,
    broadcast to the result like elementwise operands.
    """

    expr: Expr
    operands: int


@dataclass(eq=False, repr=False)
class Node:
    """One operation. Compared by identity."""

    op: str
    name: str
    inputs: list[Value]
    attrs: dict[str, Any]
    types: tuple[TensorType, ...]
    spans: frozenset[Span] = frozenset()
    epilogue: Epilogue | None = None
    repeats: str | None = None
    """The name of the node whose first result this one computes a second time, bit for bit."""
    outputs: tuple[Value, ...] = field(init=False)
    """The node's results, one a type."""

    def __post_init__(self) -> None:
        self.outputs = tuple([Value(self, index) for index in range(len(self.types))])

    @property
    def main_inputs(self) -> list[Value]:
        """The operands of the op itself, without those of the epilogue."""
        return self.inputs[: len(self.inputs) - self.epilogue.operands] if self.epilogue else self.inputs

    @property
    def epilogue_inputs(self) -> list[Value]:
        return self.inputs[len(self.main_inputs) :]

    @property
    def output(self) -> Value:
        """The first (mostly the only) result."""
        return self.outputs[0]

    def __repr__(self) -> str:
        return f"<{self.op} {self.name}>"


@struct(eq=False)
class Value:
    """Result number ``index`` of ``node``; only the node makes them, so they are compared by identity."""

    node: Node
    index: int = 0

    @property
    def type(self) -> TensorType:
        return self.node.types[self.index]

    @property
    def name(self) -> str:
        return self.node.name if len(self.node.types) == 1 else f"{self.node.name}.{self.index}"


Uses: TypeAlias = dict[Value, list[tuple[Node, int]]]
"""Readers of values, as (node, operand number)."""


@dataclass(eq=False, repr=False)
class Graph:
    """Nodes in a topological order (every operand stands before its reader), with named outputs.

    ``updates`` maps a parameter's name to the value it takes at the end of a step (training graphs).
    """

    name: str
    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    updates: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = {node.name for node in self.nodes}

    # -- reading ---------------------------------------------------------------------------

    @property
    def inputs(self) -> list[Node]:
        return [node for node in self.nodes if node.op == "input"]

    @property
    def params(self) -> list[Node]:
        return [node for node in self.nodes if node.op == "param"]

    @property
    def layers(self) -> list[Node]:
        """What a reader of the file calls layers: everything that computes."""
        return [node for node in self.nodes if node.op not in SOURCES]

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def results(self) -> Iterator[Value]:
        """All values that must survive: outputs and parameter updates."""
        yield from self.outputs.values()
        yield from self.updates.values()

    def uses(self) -> Uses:
        """Readers of every value as (node, operand number); values nobody reads are absent."""
        table: Uses = {}
        for node in self.nodes:
            for position, value in enumerate(node.inputs):
                table.setdefault(value, []).append((node, position))
        return table

    # -- building --------------------------------------------------------------------------

    def add(self, node: Node) -> Node:
        self.claim_name(node)
        self.nodes.append(node)
        return node

    def claim_name(self, node: Node) -> None:
        """Take the node's name before the node has its place. Raises ValueError if it is taken."""
        if node.name in self._names:
            raise ValueError(f"two nodes are named {node.name!r}")
        self._names.add(node.name)

    def unique_name(self, base: str) -> str:
        """``base``, or ``base_2``, ``base_3`` ... when it is taken."""
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        return name

    # -- rewriting -------------------------------------------------------------------------

    def insert_before(self, anchor: Node, nodes: Sequence[Node]) -> None:
        """Place new nodes just before ``anchor``."""
        for node in nodes:
            self.claim_name(node)
        position = self.nodes.index(anchor)
        self.nodes[position:position] = nodes

    def remove(self, dead: Iterable[Node]) -> None:
        gone = set(map(id, dead))
        self.nodes = [node for node in self.nodes if id(node) not in gone]
        self._names = {node.name for node in self.nodes}

    def prune(self) -> list[Node]:
        """Drop nodes no output or update depends on (inputs stay); returns what was dropped."""
        alive = {id(node) for node in self.inputs}
        stack = [value.node for value in self.results()]
        while stack:
            node = stack.pop()
            if id(node) not in alive:
                alive.add(id(node))
                stack.extend([value.node for value in node.inputs])
        dead = [node for node in self.nodes if id(node) not in alive]
        if dead:
            self.remove(dead)
        return dead

    def sort(self) -> None:
        """Restore a topological order, keeping the present order where it is free to."""
        position = {id(node): index for index, node in enumerate(self.nodes)}
        if all(position[id(value.node)] < index for index, node in enumerate(self.nodes) for value in node.inputs):
            return
        import networkx

        order = networkx.lexicographical_topological_sort(self.to_networkx(), key=lambda key: position[key])
        by_id = {id(node): node for node in self.nodes}
        self.nodes = [by_id[key] for key in order]

    def copy(self) -> tuple[Graph, dict[Value, Value]]:
        """A deep copy and the map from old values to new ones."""
        table: dict[Value, Value] = {}
        nodes = []
        for node in self.nodes:
            twin = Node(
                node.op, node.name, [table[value] for value in node.inputs], dict(node.attrs), node.types,
                node.spans, node.epilogue, node.repeats,
            )  # fmt: skip
            nodes.append(twin)
            table.update(zip(node.outputs, twin.outputs, strict=True))
        outputs = {name: table[value] for name, value in self.outputs.items()}
        updates = {name: table[value] for name, value in self.updates.items()}
        return Graph(self.name, nodes, outputs, updates), table

    def __repr__(self) -> str:
        return f"<graph {self.name}, {len(self.nodes)} nodes>"

    def to_networkx(self) -> networkx.MultiDiGraph:
        """The graph keyed by ``id(node)``; parallel edges keep ``add(x, x)`` apart."""
        import networkx

        graph = networkx.MultiDiGraph()
        for node in self.nodes:
            graph.add_node(id(node), node=node)
        for node in self.nodes:
            for position, value in enumerate(node.inputs):
                graph.add_edge(id(value.node), id(node), operand=position, result=value.index)
        return graph
