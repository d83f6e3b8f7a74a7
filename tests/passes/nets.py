"""Small networks made by hand, their float64 function, and a text of their layers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np

from netdsl.ir.graph import SOURCES, Graph, Node, Value
from netdsl.ir.types import TensorType
from netdsl.ops import builder, get
from netdsl.ops.base import Array
from netdsl.passes import PassReport, run_passes
from netdsl.passes.base import Mode, Pass
from netdsl.passes.weights import weight_nodes
from netdsl.reference import Interpreter
from netdsl.source import Source

SOURCE = Source("hand.net", "one layer a line\n" * 400)


class Net:
    """Builds a graph layer by layer, each on a source line of its own, as the elaborator would."""

    def __init__(self) -> None:
        self.graph = Graph("hand")
        self._build = builder(self.graph)
        self._counts: dict[str, int] = {}

    def input(self, *shape: int, name: str = "x") -> Value:
        return self._build.input(name, TensorType(shape))

    def layer(
        self, op: str, *inputs: Value, name: str = "", weights: Sequence[Value] | None = None, **attrs: Any
    ) -> Value:
        """A layer with fresh parameters, or with ``weights`` that another layer has."""
        definition = get(op)
        given = {arg.name: attrs.get(arg.name, arg.default) for arg in definition.args}
        assert set(attrs) <= set(given), (op, attrs)
        self._counts[op] = self._counts.get(op, 0) + 1
        name = name or f"{op}{self._counts[op]}"
        line = sum(self._counts.values())
        start = SOURCE.line_starts[line - 1]
        self._build.spans = frozenset({SOURCE.span(start, start + 3)})
        types = [value.type for value in inputs]
        resolved = definition.resolve(given, types)
        params = list(weights or [])
        if weights is None:
            for spec in definition.parameters(resolved, types):
                param = {"init": spec.init, "trainable": spec.trainable, "decay": spec.decay}
                params.append(self._build.param(f"{name}.{spec.name}", spec.shape, param))
        return self._build.op(op, [*inputs, *params], given, name=name).output

    def conv(self, x: Value, channels: int, kernel: int, **attrs: Any) -> Value:
        pad, stride = attrs.pop("pad", 0), attrs.pop("stride", 1)
        return self.layer(
            "conv", x, channels=channels, kernel=(kernel,) * 2, stride=(stride,) * 2, pad=(pad,) * 4, **attrs
        )

    def done(self, **outputs: Value) -> Graph:
        self.graph.outputs.update(outputs)
        return self.graph


def function(graph: Graph, batch: int = 2) -> dict[str, Array]:
    """The outputs in float64 for inputs and weights drawn by name, so that a rewritten graph draws the same."""
    inputs = {node.name: draw(node.name, node.types[0].full_shape(batch)) for node in graph.inputs}
    params = {node.name: parameter(node) for node in graph.params}
    return Interpreter(graph).run(inputs, params).outputs


@cache
def _normals() -> Array:
    return np.random.default_rng(0).normal(size=1_000_003)


def draw(name: str, shape: tuple[int, ...]) -> Array:
    """A stretch of one sequence of normals that begins at a place made from the name; quick for large weights."""
    place = zlib.crc32(name.encode()) % _normals().size
    return _normals().take(np.arange(place, place + prod(shape)), mode="wrap").reshape(shape)


def parameter(node: Node) -> Array:
    """Of the size it starts with, but no bias is 0, no scale is 1, and statistics are of a used network."""
    init, drawn = node.attrs["init"], draw(node.name, node.types[0].shape)
    if init.kind == "he":
        return drawn * np.sqrt(2 / init.fan_in)
    if node.name.endswith("running_var"):
        return 0.5 + np.abs(drawn)
    return 0.3 * drawn + (1.0 if init.kind == "ones" else init.scale if init.kind == "constant" else 0.0)


def layers(graph: Graph) -> list[str]:
    """One line for every node that computes an activation: name, op, activation operands, epilogue."""
    weights = weight_nodes(graph.nodes)
    lines = []
    for node in graph.nodes:
        if node.op in SOURCES or node in weights:
            continue
        operands = ", ".join(value.name for value in node.inputs if value.node not in weights)
        lines.append(f"{node.name} = {node.op}({operands})" + (f" then {node.epilogue.expr}" if node.epilogue else ""))
    return lines


def rewrite(graph: Graph, *passes: Pass, mode: Mode = Mode.INFERENCE) -> tuple[Graph, PassReport]:
    """The rewritten graph, after a check that it computes the same and that ``graph`` was left alone."""
    before = layers(graph)
    result, report = run_passes(graph, passes, mode=mode, verify=True)
    assert layers(graph) == before
    assert_same_function(graph, result)
    return result, report


def assert_same_function(graph: Graph, other: Graph, batch: int = 2) -> None:
    expected, found = function(graph, batch), function(other, batch)
    assert list(expected) == list(found)
    for name, value in expected.items():
        scale = np.abs(value).max() or 1.0
        assert found[name].shape == value.shape
        assert np.abs(found[name] - value).max() <= 1e-12 * scale, name


def reasons(report: PassReport) -> dict[str, str]:
    return {refusal.node: refusal.reason for refusal in report.refused}
