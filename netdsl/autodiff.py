"""Reverse-mode differentiation of graphs, and the training step made with it.

    layer graph -> the same with training forms (batch statistics, dropout) -> + gradients -> + optimizer

All of it is ordinary graph: each op's rule returns nodes, gradients that meet are added, and the step's new
parameters are the graph's ``updates``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netdsl.diagnostics import Code, UserError
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import Init, TrainingContext, get
from netdsl.ops.optimizer import plain_sgd
from netdsl.source import Span

STEP_INPUTS = {
    "lr": TensorType((), False),
    "step": TensorType((), False, DType.I32),
    "seed": TensorType((), False, DType.I32),
}
"""Inputs a training step has beside the net's own: learning rate, number of the step, seed of the run."""


_STATE = {"init": Init("zeros"), "trainable": False, "decay": False}


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
) -> Graph:
    """The whole step: forward in training form, backward, and one optimizer node a trainable parameter.

    ``loss`` and ``outputs`` are values of ``graph`` (outputs such as logits, for metrics). The step has the
    inputs of the net, ``lr``, ``step`` and ``seed``; the outputs ``loss`` and those asked for; a state
    parameter ``<param>.momentum`` beside each trained parameter (none without momentum); and updates for
    parameters, state and running statistics. Parameters that the loss does not depend on are not part of it.
    Weight decay leaves alone the parameters that say so (``decay``).
    """
    step, table, context = _training_forms(graph)
    step.outputs = {"loss": table[loss], **{name: table[value] for name, value in (outputs or {}).items()}}
    update = _Updates(step, *optimizer)
    grads = gradients(step, table[loss], update.trained)
    step.updates = dict(context.updates)
    for param, grad in grads.items():
        update.add(param, grad)
    step.prune()
    return step


def _training_forms(graph: Graph) -> tuple[Graph, dict[Value, Value], TrainingContext]:
    """A copy whose layers are replaced by their training forms, and the map from old values to new."""
    step = Graph(graph.name)
    build = GraphBuilder(step, infer_types)
    extra = {name: _step_input(build, graph, name, type) for name, type in STEP_INPUTS.items()}
    context = TrainingContext(extra["step"], extra["seed"])
    table: dict[Value, Value] = {}
    for node in graph.nodes:
        if node.epilogue is not None:
            raise ValueError(f"{node.name} has an epilogue: differentiate before fusing")
        inputs = [table[value] for value in node.inputs]
        build.spans = node.spans
        results = None if node.op in SOURCES else get(node.op).training(build, node, inputs, context)
        if results is None:
            twin = Node(node.op, node.name, inputs, dict(node.attrs), node.types, node.spans)
            results = step.add(twin).outputs
        table.update(zip(node.outputs, results, strict=True))
    return step, table, context


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


class _Updates:
    """The optimizer's part of a step. Its state comes before the gradients in the graph, so that an update can run,
    and its gradient's memory be free again, as soon as the gradient is there."""

    def __init__(self, step: Graph, op: str, args: Mapping[str, Any]) -> None:
        self._step, self._op, self._args = step, op, args
        self._build = GraphBuilder(step, infer_types)
        self._lr = step.node("lr").output
        self.trained = [node.output for node in step.params if node.attrs.get("trainable", True)]
        self._plain = op == "sgd" and not args.get("momentum")
        self._states = {} if self._plain else {param: self._state(param) for param in self.trained}

    def _state(self, param: Value) -> Value:
        self._build.spans = param.node.spans
        return self._build.param(f"{param.node.name}.momentum", param.type.shape, _STATE)

    def add(self, param: Value, grad: Value) -> None:
        """What gives one parameter, and its state, the new value."""
        attrs = dict(self._args)
        if not param.node.attrs.get("decay", True):
            attrs["weight_decay"] = 0.0
        self._build.spans = param.node.spans
        name = f"{param.node.name}.{self._op}"
        if self._plain:
            expr = plain_sgd(attrs.get("weight_decay", 0.0))
            node = self._build.op("map", [param, grad, self._lr], {"expr": expr}, name=name)
        else:
            node = self._build.op(self._op, [param, grad, self._states[param], self._lr], attrs, name=name)
            self._step.updates[f"{param.node.name}.momentum"] = node.outputs[1]
        self._step.updates[param.node.name] = node.output


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
