"""A classifier as a dense network: its fully connected layers become convolutions.

    flatten of [C, H, W], fc(F)   ->  conv(F, HxW)     weight (F, C*H*W) seen as (F, C, H, W)
    fc(F) behind that             ->  conv(F, 1x1)     weight (F, C) seen as (F, C, 1, 1)
    everything else               ->  itself, over channels

On the image size it was trained with the result is the classifier, [F] written as [F, 1, 1]. On a larger image
every position of the result is the classifier on a window of the image, at the stride of the network (where the
layers before pad, windows see their neighbours instead of the padding). Global pools keep the window they had, moved
by 1. Sermanet et al., "OverFeat", ICLR 2014, section 3.5; Long, Shelhamer and Darrell, CVPR 2015, section 3.1.

It is no pass of the pipeline: shapes of weights and results change, and it is done only when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.diagnostics import Code, UserError
from netdsl.ir.builder import GraphBuilder
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.types import TensorType
from netdsl.ops import infer_types
from netdsl.ops.base import ShapeError
from netdsl.source import Span

_KEEP_ORDER = frozenset({"relu", "leaky_relu", "sigmoid", "tanh", "map", "dropout", "identity"})
"""One operand, element by element, without weights: the same on a map as on its flattened elements."""
_BY_CHANNEL = _KEEP_ORDER | {
    "conv", "deconv", "bn", "scale", "prelu", "lrn", "maxpool", "avgpool", "concat", "slice", "add", "mul", "softmax",
    "log_softmax", "crop", "pad", "upsample", "flatten", "reshape", "fc",
}  # fmt: skip
_WHY_NOT = {
    "local": "its weights belong to positions, and a larger image has more of them",
    "distance": "it compares vectors of one length",
}


@dataclass(frozen=True)
class Convolutionalized:
    """``graph`` at the original size. ``shapes`` are the new shapes of weights, by name: the same elements in order.
    ``notes`` say what was done, a line a layer."""

    graph: Graph
    shapes: dict[str, tuple[int, ...]]
    notes: tuple[str, ...]


def convolutionalize(graph: Graph) -> Convolutionalized:
    """The dense form of a classifier. ``graph`` stays as it is. Raises UserError saying what stands in the way."""
    _require_one_image(graph)
    work = _Work(GraphBuilder(Graph(graph.name), infer_types))
    for node in graph.nodes:
        work.builder.spans = node.spans
        work.convert(node)
    results = {name: work.whole(value, f"the output `{name}`") for name, value in graph.outputs.items()}
    work.builder.graph.outputs = results
    work.builder.graph.prune()
    return Convolutionalized(work.builder.graph, work.shapes, tuple(work.notes))


def at_size(graph: Graph, size: tuple[int, int]) -> Graph:
    """A graph of maps over images of another (height, width). Raises UserError where a layer does not fit."""
    builder, table = GraphBuilder(Graph(graph.name), infer_types), dict[Value, Value]()
    for node in graph.nodes:
        builder.spans = node.spans
        inputs = [table[value] for value in node.inputs]
        if node.op == "input":
            new = builder.place(Node(node.op, node.name, [], {}, (_resized(node.output.type, size),), node.spans))
        elif not node.inputs:
            new = builder.place(Node(node.op, node.name, [], dict(node.attrs), node.types, node.spans))
        else:
            new = _again(builder, node, inputs, size)
        table.update(zip(node.outputs, new.outputs, strict=True))
    builder.graph.outputs = {name: table[value] for name, value in graph.outputs.items()}
    return builder.graph


def _resized(type: TensorType, size: tuple[int, int]) -> TensorType:
    return TensorType((type.shape[0], *size), type.batched, type.dtype)


def _again(builder: GraphBuilder, node: Node, inputs: list[Value], size: tuple[int, int]) -> Node:
    attrs = dict(node.attrs)
    if node.op == "upsample":
        attrs |= {"factor": _factor(node), "size": None}
    try:
        return builder.op(node.op, inputs, attrs, name=node.name)
    except ShapeError as error:
        title = f"`{node.name}` does not fit an image of {size[0]}x{size[1]}: {error.title}"
        raise UserError.of(error.code, title, _span(node), error.notes, error.help) from None


def _factor(node: Node) -> tuple[int, int] | None:
    """How many times larger an ``upsample`` makes its map; None where that is no whole number."""
    pairs = list(zip(node.attrs["size"], node.inputs[0].type.shape[1:], strict=True))
    if any(new % old for new, old in pairs):
        return None
    return pairs[0][0] // pairs[0][1], pairs[1][0] // pairs[1][1]


# -- the conversion ------------------------------------------------------------------------------------


@dataclass
class _Work:
    """``values`` has what stands for each value; ``flat`` those that stand for the flattened elements of a map."""

    builder: GraphBuilder
    values: dict[Value, Value] = field(default_factory=dict)
    flat: set[Value] = field(default_factory=set)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def convert(self, node: Node) -> None:
        if node.op == "param":
            return  # made when a layer reads it, in the shape that the layer needs
        if node.op == "input":
            self.values[node.output] = self.builder.input(node.name, node.output.type)
            return
        _require_dense(node)
        if node.op in ("flatten", "reshape"):
            self._flatten(node)
        elif node.op == "fc":
            self._fc(node)
        else:
            self._keep(node)

    def _flatten(self, node: Node) -> None:
        source, (result,) = node.inputs[0], node.types
        if len(result.shape) != 1 and result.shape != source.type.shape:
            raise _refused(node, f"`{node.op}` to {result} mixes channels and positions")
        self.values[node.output] = self.values[source]
        if source in self.flat or (len(source.type.shape) == 3 and source.type.shape[1:] != (1, 1)):
            self.flat.add(node.output)
            self.notes.append(f"{node.name} is gone: the layer behind it takes the map")

    def _fc(self, node: Node) -> None:
        x, weight, *bias = node.inputs
        source = self.values[x]
        kernel = source.type.shape[1:]
        shape = (weight.type.shape[0], *source.type.shape)
        operands = [source, self._weight(node, weight, shape), *(self._weight(node, b, b.type.shape) for b in bias)]
        attrs = {"channels": shape[0], "kernel": kernel, "bias": bool(bias), "init": node.attrs["init"]}
        self.values[node.output] = self.builder.op("conv", operands, attrs, name=node.name).output
        self.notes.append(f"{node.name}: fc({shape[0]}) is conv({shape[0]}, {kernel[0]}x{kernel[1]})")

    def _keep(self, node: Node) -> None:
        inputs = []
        for value in node.inputs:
            if value.node.op == "param":
                inputs.append(self._weight(node, value, value.type.shape))
            elif node.op in _KEEP_ORDER:
                inputs.append(self.values[value])
            else:
                inputs.append(self.whole(value, f"`{node.name}`"))
        twin = self.builder.op(node.op, inputs, node.attrs, name=node.name)
        self.values.update(zip(node.outputs, twin.outputs, strict=True))
        if node.op in _KEEP_ORDER and node.inputs[0] in self.flat:
            self.flat.add(node.output)

    def whole(self, value: Value, reader: str) -> Value:
        """What stands for ``value``, for a reader that must not find a map where it read a vector."""
        if value in self.flat:
            shape = self.values[value].type
            raise _refused(value.node, f"{reader} reads the flattened elements of a {shape} map, and is no `fc`")
        return self.values[value]

    def _weight(self, node: Node, value: Value, shape: tuple[int, ...]) -> Value:
        if value in self.values:
            if self.values[value].type.shape != shape:
                raise _refused(node, f"`{value.name}` is shared by layers that look at maps of different sizes")
            return self.values[value]
        new = self.builder.param(value.name, shape, value.node.attrs)
        self.values[value] = new
        if shape != value.type.shape:
            self.shapes[value.name] = shape
        return new


# -- what stands in the way ----------------------------------------------------------------------------


def _require_one_image(graph: Graph) -> None:
    images = [node for node in graph.inputs if len(node.output.type.shape) == 3]
    if len(images) != 1 or len(graph.inputs) != 1:
        found = ", ".join(f"{node.name} {node.output.type}" for node in graph.inputs)
        raise UserError.of(
            Code.BAD_OPTION,
            f"`{graph.name}` cannot be made fully convolutional: it does not look at one image",
            notes=[f"inputs: {found}; needed is one of [C, H, W]"],
        )


def _require_dense(node: Node) -> None:
    """Raise UserError for a layer that has no meaning on a larger map."""
    if node.op not in _BY_CHANNEL:
        raise _refused(node, _WHY_NOT.get(node.op, f"`{node.op}` has no form over maps"))
    if node.op == "avgpool" and node.attrs["to"] is not None:
        rows, cols = node.attrs["to"]
        shape = node.inputs[0].type
        raise _refused(node, f"avgpool(to={rows}x{cols}) of {shape} has windows of different sizes")
    if node.op == "upsample" and _factor(node) is None:
        raise _refused(node, "it resamples to a fixed size, by no whole factor")
    if node.op in ("add", "mul"):
        maps = {value.type.shape[1:] for value in node.inputs if len(value.type.shape) == 3}
        if len(maps) > 1 or (maps - {(1, 1)} and any(len(v.type.shape) < 3 and v.type.batched for v in node.inputs)):
            raise _refused(
                node, "it joins a map with what was pooled over all of it; on a larger image the two don't meet"
            )


def _refused(node: Node, reason: str) -> UserError:
    return UserError.of(
        Code.BAD_OPTION,
        f"`{node.name}` cannot be made fully convolutional",
        _span(node),
        notes=[reason],
        help="a global pool before the first `fc` makes a classifier that can" if node.op == "avgpool" else None,
    )


def _span(node: Node) -> Span | None:
    return min(node.spans, key=lambda span: (span.source.name, span.start), default=None)
