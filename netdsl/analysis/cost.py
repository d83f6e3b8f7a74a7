"""Parameters and arithmetic of each layer and of a network."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.diagnostics import Code, UserError
from netdsl.ir.graph import Graph, Node
from netdsl.ops.base import Call, Cost, get
from netdsl.ops.pointwise import flops_of
from netdsl.record import record

STATISTICS = ("running_mean", "running_var", "stored")
"""State that is measured or given, not learned: no parameters, as papers count them."""


@record
class LayerCost:
    """One layer's numbers for one sample.

    ``params`` are weights, biases, and scales and shifts of batch normalization, not its running statistics or
    stored points; one that several layers share counts at the first of them. ``macs`` are multiply-accumulates of
    convolutions, fully connected layers and squared distances, taps on padding included; ``flops`` are all
    floating-point operations, two for each of those, as ``netdsl.ops.base.Cost`` counts them.
    """

    node: Node
    params: int
    trainable_params: int
    macs: int
    flops: int


@record
class Totals:
    """Sums over a network."""

    params: int
    trainable_params: int
    macs: int
    flops: int


def layer_costs(graph: Graph) -> list[LayerCost]:
    """One entry for each layer, in the graph's order. Raises UserError for an op whose work is not known."""
    seen: set[Node] = set()
    return [_layer_cost(node, seen) for node in graph.layers]


def _layer_cost(node: Node, seen: set[Node]) -> LayerCost:
    fresh = list(dict.fromkeys(value.node for value in node.inputs if value.node.op == "param"))
    fresh = [param for param in fresh if param not in seen and not is_statistic(param)]
    seen.update(fresh)
    trainable = [param for param in fresh if param.attrs.get("trainable", True)]
    cost = cost_of(node)
    return LayerCost(node, _elements(fresh), _elements(trainable), cost.macs, cost.flops)


def cost_of(node: Node) -> Cost:
    """Work of one layer for one sample, what is fused into it included. Raises UserError where it is not known."""
    try:
        cost = get(node.op).cost(Call.of(node))
    except NotImplementedError:
        cost = None
    if cost is None or cost.macs < 0 or cost.flops < 2 * cost.macs:
        span = min(node.spans, key=lambda span: (span.source.name, span.start), default=None)
        raise UserError.of(
            Code.UNCOUNTED_OP,
            f"the work of `{node.op}` cannot be counted",
            span,
            notes=[f"the op says {cost.macs} MACs, {cost.flops} FLOPs" if cost else "the op says nothing of it"],
            help=f"`cost` of the op `{node.op}` has to give its operations for one sample",
        )
    if node.epilogue is None:
        return cost
    operands = [node.output.type, *(value.type for value in node.epilogue_inputs)]
    return Cost(cost.macs, cost.flops + flops_of(node.epilogue.expr, operands))


def totals(costs: Iterable[LayerCost]) -> Totals:
    listed = list(costs)
    return Totals(
        sum(cost.params for cost in listed),
        sum(cost.trainable_params for cost in listed),
        sum(cost.macs for cost in listed),
        sum(cost.flops for cost in listed),
    )


def is_statistic(param: Node) -> bool:
    """Whether a parameter node holds running statistics or stored points."""
    return param.name.rpartition(".")[2] in STATISTICS


def _elements(params: Iterable[Node]) -> int:
    return sum(param.output.type.elements for param in params)
