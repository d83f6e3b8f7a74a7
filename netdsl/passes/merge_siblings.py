"""1x1 convolutions that read one value become one wider convolution and slices of its result.

    a = relu(conv(x, w1, b1))                         y = relu(conv(x, [w1; w2], [b1; b2]))
    c = relu(conv(x, w2, b2))                         a = slice(y, 0..O1),  c = slice(y, O1..O1+O2)

Output channels of a convolution don't know of each other, so the result is the same, bit for bit in exact
arithmetic; x is read once instead of twice and narrow convolutions fill the register tiles. An equal
activation behind each moves before the slices, so that it still becomes an epilogue. Siblings have the same
stride and activation; the reduction branches of Inception and the heads of an RPN are such.

It pays only if the slices cost nothing. A slice is a view when it starts at a multiple of ``align``
channels, so at most one sibling, the last, may have another width; and a branch that is stored into a
concat or an output in place, or that would become the residual of an epilogue, is left as it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.passes.base import Log, Pass, union_of_spans
from netdsl.passes.compose_1x1 import is_1x1
from netdsl.passes.cse import frozen_attrs
from netdsl.passes.elementwise import scalar_of
from netdsl.passes.sweep import Sweep
from netdsl.passes.weights import weight_nodes
from netdsl.record import record

Readers = dict[Value, list[tuple[Node, int]]]


@record
class Branch:
    """A 1x1 convolution and the activation that alone reads it, if there is one."""

    conv: Node
    activation: Node | None

    @property
    def tail(self) -> Node:
        return self.activation or self.conv

    @property
    def nodes(self) -> list[Node]:
        return [self.conv, self.activation] if self.activation else [self.conv]

    @property
    def channels(self) -> int:
        return self.conv.types[0].shape[0]


@record
class MergeSiblings(Pass):
    """See the module. ``align`` is the channel multiple at which a slice is a view."""

    name: ClassVar[str] = "merge_siblings"
    align: int = 16

    def run(self, graph: Graph, log: Log) -> None:
        groups = list(self._groups(graph, log))
        if not groups:
            return
        weights_first(graph)
        order = {node: index for index, node in enumerate(graph.nodes)}
        leaders = {min(group, key=lambda branch: order[branch.conv]).conv: group for group in groups}
        slices: dict[Node, Value] = {}
        sweep = Sweep(graph)
        for node in sweep:
            if group := leaders.get(node):
                log.rewrote([branch.conv for branch in group], _text(group))
                slices.update(_merge(sweep.build, group))
            if node in slices:
                sweep.replace(node, [slices[node]])

    def _groups(self, graph: Graph, log: Log) -> Iterator[list[Branch]]:
        """Branches to merge, in the order of their channels."""
        readers = graph.uses()
        results = set(graph.results())
        for siblings in _siblings(graph, readers, results):
            alike: dict[Hashable, list[Branch]] = {}
            for branch in siblings:
                if reason := _objection(branch, readers, results, log.training):
                    log.refused(branch.conv, reason)
                else:
                    alike.setdefault(_likeness(branch), []).append(branch)
            for group in alike.values():
                yield from self._aligned(group, log)

    def _aligned(self, group: list[Branch], log: Log) -> Iterator[list[Branch]]:
        """The branches whose slices can be views, if there are at least two."""
        even = [branch for branch in group if branch.channels % self.align == 0]
        odd = [branch for branch in group if branch.channels % self.align]
        for branch in odd[1:]:
            log.refused(
                branch.conv,
                f"the slice behind its {branch.channels} channels would not start at a multiple of {self.align}",
            )
        group = even + odd[:1]
        if len(group) > 1:
            yield group
        else:
            for branch in group:
                log.refused(branch.conv, "no sibling is left with its stride and activation")


def _siblings(graph: Graph, readers: Readers, results: set[Value]) -> Iterator[list[Branch]]:
    by_operand: dict[Value, list[Branch]] = {}
    for node in graph.nodes:
        if _is_plain_1x1(node):
            branch = Branch(node, _activation(node, readers, results))
            by_operand.setdefault(node.inputs[0], []).append(branch)
    return (branches for branches in by_operand.values() if len(branches) > 1)


def _is_plain_1x1(node: Node) -> bool:
    if node.op != "conv" or node.epilogue or not is_1x1(node):
        return False
    return node.attrs["groups"] == 1 and not any(node.attrs["pad"])


def _activation(conv: Node, readers: Readers, results: set[Value]) -> Node | None:
    uses = readers.get(conv.output, [])
    if len(uses) != 1 or conv.output in results:
        return None
    reader = uses[0][0]
    return reader if len(reader.inputs) == 1 and scalar_of(reader, training=False) else None


def _likeness(branch: Branch) -> Hashable:
    """Equal for branches that can share one convolution and one activation."""
    activation = branch.activation
    return branch.conv.attrs["stride"], activation and (activation.op, frozen_attrs(activation))


def _objection(branch: Branch, readers: Readers, results: set[Value], training: bool) -> str | None:
    if training:
        return "training graph: each weight is trained"
    weight, value = branch.conv.inputs[1], branch.tail.output
    if len(readers[weight]) > 1:
        return f"{weight.name} serves another layer too"
    if value in results:
        return f"{value.name} is a result of the network, stored in its own place"
    for reader, _ in readers.get(value, []):
        if reader.op == "concat":
            return f"{value.name} is stored into {reader.name} in place"
        if scalar_of(reader, training):
            return f"{reader.name} can be fused with {branch.conv.name} as it is"
    return None


def weights_first(graph: Graph) -> None:
    """Move what depends on parameters only to the front, in its present order."""
    weights = weight_nodes(graph.nodes)
    graph.nodes.sort(key=lambda node: node not in weights)


def _text(group: list[Branch]) -> str:
    widths = " + ".join(str(branch.channels) for branch in group)
    return f"one convolution of {widths} channels, sliced"


def _merge(build: GraphBuilder, group: list[Branch]) -> dict[Node, Value]:
    """The slice that stands for each branch's tail."""
    build.spans = union_of_spans(node for branch in group for node in branch.nodes)
    first, width = group[0].conv, sum(branch.channels for branch in group)
    name = f"{first.name}.merged"
    weights = [branch.conv.inputs[1] for branch in group]
    operands = [first.inputs[0], build.op("weight_concat", weights, name=f"{name}.weight").output]
    has_bias = any(branch.conv.attrs["bias"] for branch in group)
    if has_bias:
        biases = [_bias(build, branch.conv) for branch in group]
        operands.append(build.op("weight_concat", biases, name=f"{name}.bias").output)
    attrs = {**first.attrs, "channels": width, "bias": has_bias}
    merged = build.op("conv", operands, attrs, name=name)
    if activation := group[0].activation:
        merged = build.op(activation.op, [merged.output], activation.attrs, name=f"{name}.{activation.op}")
    return dict(_slices(build, merged.output, group))


def _bias(build: GraphBuilder, conv: Node) -> Value:
    if conv.attrs["bias"]:
        return conv.inputs[2]
    return build.constant(np.zeros(conv.types[0].shape[0]), name=f"{conv.name}.zero_bias")


def _slices(build: GraphBuilder, merged: Value, group: list[Branch]) -> Iterator[tuple[Node, Value]]:
    start = 0
    for branch in group:
        stop = start + branch.channels
        name = f"{branch.tail.name}.slice"
        yield branch.tail, build.op("slice", [merged], {"start": start, "stop": stop}, name=name).output
        start = stop
