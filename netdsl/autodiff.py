"""Reverse-mode differentiation of graphs, and the training step made with it.

    layer graph -> the same with training forms (batch statistics, dropout) -> + gradients -> + optimizer

All of it is ordinary graph: each op's rule returns nodes, gradients that meet are added, and the step's new
parameters are the graph's ``updates``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netdsl.diagnostics import Code, UserError
from netdsl.division import SHARE, SHARE_TYPE, Division, RankSums, divided_loss
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import TrainingContext, get
from netdsl.source import Span
from netdsl.updates import EVERY_STEP, UpdateRule, Updates

STEP_INPUTS = {
    "lr": TensorType((), False),
    "step": TensorType((), False, DType.I32),
    "seed": TensorType((), False, DType.I32),
}
"""Inputs a training step has beside the net's own: learning rate, number of the step, seed of the run."""


def gradients(graph: Graph, loss: Value, wrt: Iterable[Value]) -> dict[Value, Value]:
    """Append to ``graph`` what computes the gradient of ``loss`` (one number) to each of ``wrt``.

    Values the loss does not depend on are absent from the result.
    """
    return _Backward(graph, loss, list(wrt)).run()


def training_graph(
    graph: Graph,
    loss: Value,
    *,
    optimizer: tuple[str, Mapping[str, Any]],
    outputs: Mapping[str, Value] | None = None,
    rule: UpdateRule = EVERY_STEP,
    division: Division | None = None,
) -> Graph:
    """The whole step: forward in training form, backward, and one optimizer node a trainable parameter.

    ``loss`` and ``outputs`` are values of ``graph`` (outputs such as logits, for metrics). The step has the
    inputs of the net, ``lr``, ``step`` and ``seed``; the outputs ``loss`` and those asked for; a state parameter
    such as ``<param>.momentum`` beside each trained parameter, as many as the optimizer remembers; and updates for
    parameters, state and running statistics. Parameters that the loss does not depend on are not part of it.
    Weight decay leaves alone the parameters that say so (``decay``); ``rule`` says all else about the updates.
    Layers all of whose parameters are frozen work as at inference.

    With ``division`` the step is one rank's part of a larger one (:mod:`netdsl.division`): it has the further input
    ``share``, ``loss`` is that of all ranks, and running statistics that are
    each rank's own become the mean of the ranks'.
    """
    step, table, context = _training_forms(graph, rule, division)
    step.outputs = {"loss": table[loss], **{name: table[value] for name, value in (outputs or {}).items()}}
    step.updates = dict(context.updates)
    update = Updates(step, optimizer, rule, division)
    if division is None:
        update.add_all(gradients(step, table[loss], update.trained))
    else:
        update.add_all(_summed_gradients(step, table[loss], update.trained, division))
    step.prune()
    return step


def _summed_gradients(step: Graph, loss: Value, wrt: Iterable[Value], division: Division) -> dict[Value, Value]:
    """As `gradients`, of all ranks; loss and running statistics of the step become those of all ranks too."""
    share = step.node(SHARE).output
    part = divided_loss(step, loss, share)
    grads = gradients(step, part, wrt)
    sums = RankSums(step)
    own = {} if division.synchronized else step.updates
    moved = {name: sums.begin_mean(value, share) for name, value in own.items()}
    for value in (part, *grads.values()):
        sums.begin(value)
    ends = sums.ends()
    step.outputs["loss"] = ends[part]
    step.updates |= {name: ends[value] for name, value in moved.items()}
    return {param: ends[grad] for param, grad in grads.items()}


def gradient_graph(
    graph: Graph,
    loss: Value,
    *,
    rule: UpdateRule = EVERY_STEP,
    outputs: Mapping[str, Value] | None = None,
    prefix: str = "gradient:",
) -> Graph:
    """What a training step computes before it updates anything: the outputs ``loss``, those asked for (as values of
    ``graph``, in their training forms), and the gradient of each trained parameter under ``prefix`` and its name.

    Parameters that the loss does not depend on have none. Inputs that nothing reads are left away.
    """
    step, table, _ = _training_forms(graph, rule)
    params = [table[node.output] for node in graph.params]
    trained = [value for value in params if value.node.attrs.get("trainable", True) and not rule.freezes(value.name)]
    found = gradients(step, table[loss], trained)
    step.outputs = {"loss": table[loss], **{name: table[value] for name, value in (outputs or {}).items()}}
    step.outputs |= {prefix + param.name: gradient for param, gradient in found.items()}
    step.prune()
    read = {value.node for node in step.nodes for value in node.inputs}
    step.remove([node for node in step.inputs if node not in read])
    return step


def _training_forms(
    graph: Graph, rule: UpdateRule, division: Division | None = None
) -> tuple[Graph, dict[Value, Value], TrainingContext]:
    """A copy whose layers are replaced by their training forms, and the map from old values to new."""
    step = Graph(graph.name)
    build = GraphBuilder(step, infer_types)
    types = STEP_INPUTS if division is None else {**STEP_INPUTS, SHARE: SHARE_TYPE}
    extra = {name: _step_input(build, graph, name, type) for name, type in types.items()}
    context = TrainingContext(extra["step"], extra["seed"])
    if division is not None:
        context.first, context.shared = division.first, division.whole if division.synchronized else 0
    table: dict[Value, Value] = {}
    for node in graph.nodes:
        if node.epilogue is not None:
            raise ValueError(f"{node.name} has an epilogue: differentiate before fusing")
        inputs = [table[value] for value in node.inputs]
        build.spans = node.spans
        results = None
        if node.op not in SOURCES and not _is_frozen(node, rule):
            results = get(node.op).training(build, node, inputs, context)
        if results is None:
            twin = Node(node.op, node.name, inputs, dict(node.attrs), node.types, node.spans)
            results = step.add(twin).outputs
        table.update(zip(node.outputs, results, strict=True))
    return step, table, context


def _is_frozen(node: Node, rule: UpdateRule) -> bool:
    """Whether the layer has parameters, and all of them stay as they are."""
    params = [value.node.name for value in node.inputs if value.node.op == "param"]
    return bool(params) and all(map(rule.freezes, params))


def _step_input(build: GraphBuilder, graph: Graph, name: str, type: TensorType) -> Value:
    for node in graph.nodes:
        if node.name == name:
            raise UserError.of(
                Code.DUPLICATE_NAME,
                f"`{name}` is the name of an input that training adds",
                span=next(iter(_in_order(node.spans)), None),
                help="give this value another name",
            )
    return build.input(name, type)


def _in_order(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.source.name, span.start))


class _Backward(GraphBuilder):
    """One sweep from the loss back; nodes are named after the layer they are the gradient of."""

    def __init__(self, graph: Graph, loss: Value, wrt: Sequence[Value]) -> None:
        super().__init__(graph, infer_types)
        if loss.type != TensorType((), False):
            raise ValueError(f"{loss.name} is {loss.type}, not one number")
        self._loss, self._wrt = loss, wrt
        self._pending: dict[Value, list[Value]] = {}
        self._prefix = ""

    def op(
        self,
        op: str,
        inputs: Sequence[Value],
        attrs: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        spans: Iterable[Span] | None = None,
    ) -> Node:
        return super().op(op, inputs, attrs, name=name or f"{self._prefix}.{op}", spans=spans)

    def run(self) -> dict[Value, Value]:
        forward = list(self.graph.nodes)
        active = self._active(forward)
        self._pending[self._loss] = [self.constant(1.0, name=f"{self._loss.name}.grad")]
        for node in reversed(forward):
            if node in active and node.op not in SOURCES:
                self._visit(node, active)
        found = ((value, self._total(value)) for value in self._wrt)
        return {value: grad for value, grad in found if grad is not None}

    def _active(self, forward: Sequence[Node]) -> set[Node]:
        """Nodes some of ``wrt`` flow into."""
        active = {value.node for value in self._wrt}
        for node in forward:
            if any(value.node in active for value in node.inputs):
                active.add(node)
        return active

    def _visit(self, node: Node, active: set[Node]) -> None:
        self.spans = node.spans
        grads = [self._total(value) for value in node.outputs]
        self._prefix = f"{node.name}.grad"
        if all(grad is None for grad in grads):
            return
        if not get(node.op).differentiable:
            raise ValueError(f"{node.op} {node.name} cannot be differentiated")
        for value, grad in zip(node.inputs, get(node.op).gradient(self, node, grads), strict=True):
            if grad is None or value.node not in active:
                continue
            if grad.type != value.type:
                raise ValueError(f"gradient of {node.name} to {value.name} is {grad.type}, not {value.type}")
            self._pending.setdefault(value, []).append(grad)

    def _total(self, value: Value) -> Value | None:
        """The sum of what arrived at a value."""
        parts = self._pending.get(value, [])
        if len(parts) > 1:
            self._prefix = f"{value.name}.grad"
            parts[:] = [self.op("add", parts).output]
        return parts[0] if parts else None
