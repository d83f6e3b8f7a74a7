"""The training step that is planned for a network whose file does not say how to train it.

Its optimizer is SGD with momentum; its loss is the cross entropy of the first output where that is a softmax
or log_softmax, and the mean squared error of the first output otherwise.
"""

from __future__ import annotations

from netdsl.autodiff import training_graph
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops import infer_types

OPTIMIZER = ("sgd", {"momentum": 0.9, "nesterov": False, "weight_decay": 1e-4})


def default_loss_name(graph: Graph) -> str:
    """The loss in words."""
    name, output = next(iter(graph.outputs.items()))
    return f"cross entropy of `{name}`" if _is_softmax(output) else f"mean squared error of `{name}`"


def default_step(graph: Graph) -> Graph:
    """The step of ``graph``, which stays as it is."""
    # the same nodes, and some behind them: the step is made of copies
    longer = Graph(graph.name, list(graph.nodes))
    output = next(iter(graph.outputs.values()))
    build = GraphBuilder(longer, infer_types)
    name = longer.unique_name("target")
    if _is_softmax(output):
        logits = output.node.inputs[0]
        target = build.input(name, TensorType(logits.type.shape[1:], logits.type.batched, DType.I32))
        loss = build.op("cross_entropy", [logits, target]).output
    else:
        target = build.input(name, output.type)
        loss = build.op("mse", [output, target]).output
    return training_graph(longer, loss, optimizer=OPTIMIZER)


def _is_softmax(output: Value) -> bool:
    return output.node.op in ("softmax", "log_softmax")
