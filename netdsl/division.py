"""A training step as one rank's part of a larger one: what the ranks add up, and where in the graph.

A rank takes the step with its own samples of the global batch. Losses are means, so the loss of all samples is the sum
of the ranks' losses, each times the rank's ``share`` of what is counted. With that weight in front of the backward
pass, gradients of all samples are plain sums of the ranks' gradients. Each sum begins behind the node that gives
its operand, and ends behind the whole backward pass, before the updates: between them there is time to add up.

Every rank so has the same gradients, and after the updates the same parameters, bit for bit.
"""

from __future__ import annotations

from netdsl.diagnostics import Code, UserError
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.scalar import Const, Var, differentiate, select
from netdsl.ir.types import DType, TensorType
from netdsl.ops import builder, builder_before
from netdsl.ops.base import Call, get
from netdsl.ops.loss import Loss
from netdsl.ops.rank_sum import begin, end, summed
from netdsl.record import record
from netdsl.source import Span

SHARE = "share"
"""The input of a divided step that says which part of the loss is this rank's; the ranks' add up to 1."""

SHARE_TYPE = TensorType((), False)

Counted = tuple[str, int] | None
"""What a loss is the mean of: all samples and positions, or those whose label (an input's name) is not a number."""


@record
class Division:
    """A rank's samples: ``count`` from number ``first`` on, of a global batch of ``whole``.

    ``leads``: the one of the ranks whose numbers count where only one's can. ``synchronized``: batch normalization is
    over the samples of all ranks, not over this one's.
    """

    first: int
    count: int
    whole: int
    leads: bool
    synchronized: bool = False


def counted(graph: Graph, loss: Value) -> Counted:
    """What the loss of a net counts. Raises UserError where it is no sum of means over the same."""
    found = {_counted_by(node): node for node in graph.nodes if node in _above(loss) and _is_loss(node)}
    if len(found) > 1:
        raise _undivided("its terms count different positions", *found.values())
    _require_affine(loss, _of_batch(graph))
    return next(iter(found), None)


def divided_loss(step: Graph, loss: Value, share: Value) -> Value:
    """The rank's part of the loss of all ranks: 0 of a mean of none, which is not a number."""
    part = select("gt", Var(1), 0.0, Var(0) * Var(1), 0.0)
    return builder(step).op("map", [loss, share], {"expr": part}, name=f"{loss.name}.part").output


class RankSums:
    """Adds sums over the ranks to a step: all begin where their operand is there, and end where `ends` is called."""

    def __init__(self, step: Graph) -> None:
        self._step = step
        self._begun: dict[Value, Value] = {}

    def begin(self, value: Value) -> None:
        """Hand over a value behind the node that gives it."""
        if value not in self._begun:
            build = behind(self._step, value.node)
            build.spans = value.node.spans
            self._begun[value] = begin(build, value)

    def begin_mean(self, value: Value, share: Value) -> Value:
        """Likewise the value times the rank's share; the product is what `ends` knows it by."""
        build = behind(self._step, value.node)
        build.spans = value.node.spans
        part = build.op("map", [value, share], {"expr": Var(0) * Var(1)}, name=f"{value.name}.share").output
        self.begin(part)
        return part

    def of_leader(self, value: Value, division: Division) -> Value:
        """The value as the leading rank has it, at once: ranks whose weights lie in different orders sum them up with
        different rounding."""
        build = builder(self._step)
        factor = Var(0) * (1.0 if division.leads else 0.0)
        return summed(build, build.op("map", [value], {"expr": factor}, name=f"{value.name}.led").output)

    def ends(self) -> dict[Value, Value]:
        """The sum of each value that was handed over, in their order."""
        build = builder(self._step)
        position = {node: index for index, node in enumerate(self._step.nodes)}
        begun = sorted(self._begun.items(), key=lambda item: position[item[1].node])
        found: dict[Value, Value] = {}
        for value, part in begun:
            build.spans = value.node.spans
            found[value] = end(build, part)
        return found


def behind(graph: Graph, node: Node) -> GraphBuilder:
    """A builder whose nodes are placed just behind ``node``."""
    position = graph.nodes.index(node) + 1
    return builder_before(graph, graph.nodes[position]) if position < len(graph.nodes) else builder(graph)


# -- what can be divided -------------------------------------------------------------------------------


def _is_loss(node: Node) -> bool:
    return node.op not in SOURCES and isinstance(get(node.op), Loss) and any(v.type.batched for v in node.inputs)


def _counted_by(node: Node) -> Counted:
    ignored = node.attrs.get("ignore")
    if ignored is None:
        return None
    if node.inputs[1].node.op != "input" or node.inputs[1].type.dtype is not DType.I32:
        raise _undivided("it leaves labels out that are computed", node)
    return node.inputs[1].node.name, int(ignored)


def _above(value: Value) -> set[Node]:
    found: set[Node] = set()
    stack = [value.node]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [operand.node for operand in node.inputs]
    return found


def _of_batch(graph: Graph) -> set[Value]:
    """Values that depend on the samples."""
    found: set[Value] = set()
    for node in graph.nodes:
        if any(value.type.batched for value in node.outputs) or any(value in found for value in node.inputs):
            found.update(node.outputs)
    return found


def _require_affine(value: Value, of_batch: set[Value]) -> None:
    """Between the means and the loss: sums and constant factors only."""
    node = value.node
    if value not in of_batch or _is_loss(node):
        return
    expr = get(node.op).scalar(Call.of(node))
    inner = [index for index, operand in enumerate(node.inputs) if operand in of_batch]
    if expr is None or not all(isinstance(differentiate(expr, index), Const) for index in inner):
        raise _undivided("it is no sum of means", node)
    for index in inner:
        _require_affine(node.inputs[index], of_batch)


def _undivided(why: str, *nodes: Node) -> UserError:
    spans: list[Span] = [span for node in nodes for span in node.spans]
    return UserError.of(
        Code.TRAIN_SETTING,
        f"this loss cannot be divided among several processes: {why}",
        span=min(spans, key=lambda span: (span.source.name, span.start), default=None),
        help="train in one process, with more threads",
    )
