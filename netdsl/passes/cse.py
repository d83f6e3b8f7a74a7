"""Common subexpressions are computed once.

    a = relu(x); b = relu(x)                    b -> a
    a = add(x, y); b = add(y, x)                b -> a
    a = conv(x, w, b1); b = conv(x, w, b1)      b -> a     (a shared layer, used twice on one value)

Two nodes are equal when op, arguments, operands and epilogue are. Parameters are never merged: they
are equal only by accident of their start. Dropout as written in a file draws afresh at each use, so in
a training graph it isn't merged either; the random ops autodiff makes carry their salt as an argument.
What is computed again to save memory (``recompute``) stays.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.graph import Graph, Node
from netdsl.passes.base import Log, Pass
from netdsl.passes.sweep import Sweep
from netdsl.record import record

_COMMUTATIVE = frozenset({"add", "mul"})
_NEVER = frozenset({"input", "param"})


@record
class Cse(Pass):
    """See the module."""

    name: ClassVar[str] = "cse"

    def run(self, graph: Graph, log: Log) -> None:
        sweep = Sweep(graph)
        seen: dict[Hashable, Node] = {}
        for node in sweep:
            if node.op in _NEVER or node.repeats is not None:
                continue
            first = seen.setdefault(_key(node), node)
            if first is node:
                continue
            if log.training and node.op == "dropout":
                log.refused(node, f"training graph: it draws other values than {first.name}")
            elif names := _results_of_both(sweep, first, node):
                log.refused(node, f"it equals {first.name}, but {names} are stored apart")
            else:
                log.rewrote([node], f"is {first.name}")
                first.spans |= node.spans
                sweep.replace(node, first.outputs)


def _results_of_both(sweep: Sweep, first: Node, node: Node) -> str | None:
    for kept, merged in zip(first.outputs, node.outputs, strict=True):
        names = sweep.result_names(kept), sweep.result_names(merged)
        if all(names):
            return f"{names[0][0]} and {names[1][0]}"
    return None


def _key(node: Node) -> Hashable:
    inputs = list(node.inputs)
    if node.op in _COMMUTATIVE and node.epilogue is None:
        inputs.sort(key=lambda value: (id(value.node), value.index))
    return node.op, frozen_attrs(node), tuple(inputs), node.types, node.epilogue


def frozen_attrs(node: Node) -> Hashable:
    """The node's arguments as a key."""
    return tuple((name, _frozen(node.attrs[name])) for name in sorted(node.attrs))


def _frozen(value: Any) -> Hashable:
    """A hashable stand-in that is equal exactly when the value is."""
    if isinstance(value, (list, tuple)):
        return tuple([_frozen(item) for item in value])
    if isinstance(value, Hashable):
        return value
    assert isinstance(value, np.ndarray), f"an argument of type {type(value).__name__} has no key"
    return value.dtype.str, value.shape, value.tobytes()
