"""Adding nodes to a graph with inferred types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from netdsl import numpy_on_use as np
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.types import DType, TensorType
from netdsl.source import Span


class InferTypes(Protocol):
    """Signature of the type rule a builder asks: (op, attrs, input types) -> (resolved attrs, result types)."""

    def __call__(
        self, op: str, attrs: Mapping[str, Any], inputs: Sequence[TensorType]
    ) -> tuple[dict[str, Any], tuple[TensorType, ...]]: ...


class GraphBuilder:
    """Appends to a graph (or collects nodes to be inserted elsewhere).

    ``infer`` gives the result types of an op: it is passed in because the registry lies above this layer.
    """

    def __init__(self, graph: Graph, infer: InferTypes) -> None:
        self.graph = graph
        self._infer = infer
        self.spans: frozenset[Span] = frozenset()
        """Given to nodes added without spans of their own (the layer being differentiated or rewritten)."""

    def op(
        self,
        op: str,
        inputs: Sequence[Value],
        attrs: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        spans: Iterable[Span] | None = None,
    ) -> Node:
        """Add one op; its types are inferred. Results are ``node.outputs``."""
        resolved, types = self._infer(op, attrs or {}, [value.type for value in inputs])
        node = Node(
            op,
            self.graph.unique_name(name or op),
            list(inputs),
            resolved,
            types,
            frozenset(spans) if spans is not None else self.spans,
        )
        return self.place(node)

    def place(self, node: Node) -> Node:
        """Where new nodes go: the end of the graph."""
        return self.graph.add(node)

    def constant(self, value: float | np.ndarray[Any, Any], *, name: str = "const") -> Value:
        """An unbatched constant: one number, or an array held as float64."""
        held = value if isinstance(value, int | float) else np.asarray(value, dtype=np.float64)
        shape = () if isinstance(held, int | float) else held.shape
        node = Node("const", self.graph.unique_name(name), [], {"value": held}, (TensorType(shape, False),))
        node.spans = self.spans
        return self.place(node).output

    def input(self, name: str, type: TensorType) -> Value:
        node = Node("input", name, [], {}, (type,), self.spans)
        return self.place(node).output

    def param(self, name: str, shape: tuple[int, ...], attrs: Mapping[str, Any]) -> Value:
        """A parameter; attrs hold ``init`` (ops.base.Init), ``trainable`` and ``decay``."""
        node = Node("param", name, [], dict(attrs), (TensorType(shape, False, DType.F32),), self.spans)
        return self.place(node).output


class InsertBuilder(GraphBuilder):
    """A builder whose nodes are placed just before ``anchor`` (for rewrites)."""

    def __init__(self, graph: Graph, infer: InferTypes, anchor: Node) -> None:
        super().__init__(graph, infer)
        self._anchor = anchor
        self.spans = anchor.spans

    def place(self, node: Node) -> Node:
        self.graph.insert_before(self._anchor, [node])
        return node
