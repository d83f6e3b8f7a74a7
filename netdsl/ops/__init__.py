"""All ops. Importing this package registers every family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netdsl.ir.builder import GraphBuilder, InsertBuilder
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import TensorType
from netdsl.ir.verify import graph_errors
from netdsl.ops import (  # noqa: F401  (each family registers its ops)
    adam,
    adamw,
    conv,
    conv_grad,
    distance,
    dropout,
    elementwise,
    fc,
    local,
    loss,
    lrn,
    mean_loss,
    norm,
    pool,
    pool_grad,
    rank_sum,
    reduce,
    rmsprop,
    sgd,
    shape,
    softmax,
    spatial,
    upsample,
    weight_ops,
)
from netdsl.ops.base import Call, get


def infer_types(
    op: str, attrs: Mapping[str, Any], inputs: Sequence[TensorType]
) -> tuple[dict[str, Any], tuple[TensorType, ...]]:
    """Resolved attributes and result types of ``op`` over these operands. Raises ops.base.ShapeError."""
    definition = get(op)
    defaults = {arg.name: arg.default for arg in definition.args if not arg.required}
    resolved = definition.resolve({**defaults, **attrs}, inputs)
    return resolved, definition.infer(resolved, inputs)


def builder(graph: Graph) -> GraphBuilder:
    """A builder that appends to ``graph``."""
    return GraphBuilder(graph, infer_types)


def builder_before(graph: Graph, anchor: Node) -> InsertBuilder:
    """A builder that inserts before ``anchor``."""
    return InsertBuilder(graph, infer_types, anchor)


def verify(graph: Graph) -> list[str]:
    """Everything wrong with a graph, types included; empty when it is sound."""
    return graph_errors(graph, infer_types)


__all__ = ["Call", "builder", "builder_before", "get", "infer_types", "verify"]
