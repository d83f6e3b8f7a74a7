"""A graph as text, for ``--emit graph``, ``optimized`` and ``step``, and for golden tests.

One line a node, in the graph's order:

    graph Small
    image: [1, 8, 8] = input
    conv1.weight: const [4, 1, 3, 3] = param he(fan_in=9)
    conv1: [4, 6, 6] = conv(image, conv1.weight) groups=1 kernel=(3, 3)
        then max(add(x0, x1), 0) where x1 = skip
    output logits = conv1
    update conv1.weight = conv1.weight.sgd.0

Equal graphs give equal text. Unbatched values (weights, losses) are marked ``const``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from netdsl import numpy_on_use as np
from netdsl.ir.graph import Graph, Node
from netdsl.ir.types import TensorType

_SHORT = 8


def print_graph(graph: Graph) -> str:
    """The whole graph, ending in a line feed."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield f"graph {graph.name}"
    for node in graph.nodes:
        yield f"{node.name}: {_types(node.types)} = {_definition(node)}"
        if node.epilogue is not None:
            names = [f"x{index} = {value.name}" for index, value in enumerate(node.epilogue_inputs, 1)]
            where = f" where {', '.join(names)}" if names else ""
            yield f"    then {node.epilogue.expr}{where}"
    for name, value in graph.outputs.items():
        yield f"output {name} = {value.name}"
    for name, value in graph.updates.items():
        yield f"update {name} = {value.name}"


def _types(types: tuple[TensorType, ...]) -> str:
    return str(types[0]) if len(types) == 1 else f"({', '.join(map(str, types))})"


def _definition(node: Node) -> str:
    match node.op:
        case "input":
            return "input"
        case "param":
            return _param(node.attrs)
        case "const":
            return f"const {_array(np.asarray(node.attrs['value']))}"
    operands = ", ".join(value.name for value in node.main_inputs)
    attrs = [f" {key}={_attr(node.attrs[key])}" for key in sorted(node.attrs) if node.attrs[key] is not None]
    return f"{node.op}({operands}){''.join(attrs)}"


def _param(attrs: dict[str, Any]) -> str:
    init = attrs["init"]
    details = {
        "zeros": "",
        "ones": "",
        "he": f"(fan_in={init.fan_in})",
        "lecun": f"(fan_in={init.fan_in})",
        "xavier": f"(fan_in={init.fan_in}, fan_out={init.fan_out})",
    }
    text = f"param {init.kind}{details.get(init.kind, f'({init.scale:g})')}"
    if not attrs.get("trainable", True):
        return text + " fixed"
    return text if attrs.get("decay", True) else text + " undecayed"


def _attr(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.9g}"
        case tuple() | list():
            return f"({', '.join(map(_attr, value))})"
        case np.ndarray():
            return _array(value)
    return str(value)


def _array(value: np.ndarray[Any, Any]) -> str:
    if value.ndim == 0:
        return f"{float(value):.9g}"
    if value.size <= _SHORT:
        return str(value.tolist())
    checksum = zlib.crc32(np.ascontiguousarray(value).tobytes())
    return f"{'x'.join(map(str, value.shape))} values, crc32 {checksum:08x}"
