"""Lints: what is legal in a network but mostly a slip. Each is a warning with a code of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from fractions import Fraction

from netdsl.analysis.receptive import Field, number_text
from netdsl.diagnostics import Code, Diagnostic, Label, Level
from netdsl.ir.graph import Graph, Node, Value
from netdsl.source import Span

JOINS = ("add", "concat", "mul")
BEFORE_BN = ("conv", "deconv", "fc", "local")
SOFTMAXES = ("softmax", "log_softmax")
RESHAPING = ("flatten", "reshape", "identity")
GRAIN_RATIO = 8
"""Strides this many times apart are very unequal: a skip connection doubles them, FCN-8s at most."""


def lint(
    graph: Graph,
    fields: dict[Value, Field],
    loss_graph: Graph | None = None,
    loss_values: Sequence[Value] = (),
    batch: int | None = None,
) -> tuple[Diagnostic, ...]:
    """Every lint of a net.

    ``fields`` are the receptive fields of ``graph``. ``loss_graph`` is the net with its loss, and ``loss_values``
    what training computes in it, the loss first; ``batch`` is the number of samples normalized together (None: not
    known).
    """
    uses = graph.uses()
    found = [*_biases(graph, uses), *_small_fields(graph, fields, uses), *_unequal_strides(graph, fields)]
    if batch is not None:
        found += _single_values(graph, batch)
    if loss_graph is not None:
        found += _double_softmax(loss_graph)
        found += _untrained_heads(loss_graph, loss_values)
    found += _dead_layers(graph, loss_graph, loss_values)
    return tuple(found)


def _single_values(graph: Graph, batch: int) -> Iterator[Diagnostic]:
    for node in graph.layers:
        if node.op == "bn" and batch == 1 and _positions(node.types[0].shape) == 1:
            title = f"`bn` has one value a channel at batch {batch}"
            note = "in training its variance is 0 and its result is the shift alone"
            yield _warning(Code.BN_OF_ONE_VALUE, title, node, "normalizes one value", [note], "take a larger batch")


def _positions(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape[1:]:
        count *= length
    return count


def _biases(graph: Graph, uses: dict[Value, list[tuple[Node, int]]]) -> Iterator[Diagnostic]:
    """A bias whose only reader subtracts the mean: Ioffe and Szegedy 2015, section 3.2."""
    for node in graph.layers:
        if node.op not in BEFORE_BN or not any(value.node.name.endswith(".bias") for value in node.inputs[1:]):
            continue
        readers = uses.get(node.output, [])
        if len(readers) == 1 and readers[0][0].op == "bn" and node.output not in graph.outputs.values():
            title = f"the bias of `{node.op}` has no effect: `bn` subtracts the mean"
            beside = [_label(readers[0][0], "takes it away again")]
            yield _warning(Code.BIAS_BEFORE_BN, title, node, "has a bias", (), "write `bias=no`", beside)


def _dead_layers(graph: Graph, loss_graph: Graph | None, loss_values: Iterable[Value]) -> Iterator[Diagnostic]:
    """The ends of paths that lead nowhere."""
    alive = _ancestors(graph.outputs.values())
    if loss_graph is not None:
        alive |= _ancestors(loss_values)
    whole = loss_graph if loss_graph is not None else graph
    read = {value.node.name for node in whole.nodes for value in node.inputs}
    for node in whole.layers:
        if node.name not in alive and node.name not in read:
            title = f"nothing needs the layer `{node.name}`"
            help = "give it a reader, or take it out with what only it reads"
            yield _warning(Code.DEAD_LAYER, title, node, "leads to no output and no loss", (), help)


def _untrained_heads(loss_graph: Graph, loss_values: Sequence[Value]) -> Iterator[Diagnostic]:
    """Outputs and measures behind layers whose weights the loss does not depend on: one warning a head."""
    seen = _ancestors(loss_values[:1])
    order = {node.name: position for position, node in enumerate(loss_graph.layers)}
    names = {value: name for name, value in loss_graph.outputs.items()}
    for head in loss_values[1:]:
        fresh = _unseen(head.node, seen)
        params = {node.name for node in fresh if node.op == "param"}
        layers = sorted((node for node in fresh if _own_weights(node, params)), key=lambda node: order[node.name])
        if layers:
            count = sum(_own_weights(node, params) for node in layers)
            title = f"the loss never reaches the head of `{names.get(head, head.node.name)}`: it is not trained"
            some = "1 layer" if len(layers) == 1 else f"{len(layers)} layers"
            note = f"{count:,} parameters of {some} stay as they began"
            help = "add the head's part to the loss, or take the head out"
            yield _warning(Code.UNTRAINED_HEAD, title, layers[0], "has weights that nothing changes", [note], help)


def _unseen(node: Node, seen: set[str]) -> list[Node]:
    """What a node depends on beyond ``seen``, to which it is added: all walks together are linear."""
    found: list[Node] = []
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.name not in seen:
            seen.add(node.name)
            found.append(node)
            waiting.extend(value.node for value in node.inputs)
    return found


def _own_weights(node: Node, params: Set[str]) -> int:
    """Learned parameters of a layer that are among ``params``."""
    own = {value.node for value in node.inputs if value.node.op == "param" and value.node.name in params}
    return sum(param.output.type.elements for param in own if param.attrs["trainable"])


def _ancestors(values: Iterable[Value]) -> set[str]:
    """Names of all nodes that ``values`` depend on; a net and its copy with the loss share them."""
    seen: set[str] = set()
    waiting = [value.node for value in values]
    while waiting:
        node = waiting.pop()
        if node.name not in seen:
            seen.add(node.name)
            waiting.extend(value.node for value in node.inputs)
    return seen


def _double_softmax(loss_graph: Graph) -> Iterator[Diagnostic]:
    for node in loss_graph.layers:
        if node.op != "cross_entropy":
            continue
        origin = node.inputs[0].node
        while origin.op in RESHAPING:
            origin = origin.inputs[0].node
        if origin.op in SOFTMAXES:
            title = f"`cross_entropy` takes logits, not the result of `{origin.op}`"
            beside = [_label(origin, "is the first softmax")]
            help = "give the loss what the softmax reads"
            yield _warning(Code.SOFTMAX_TWICE, title, node, "has a softmax of its own", (), help, beside)


def _small_fields(
    graph: Graph, fields: dict[Value, Field], uses: dict[Value, list[tuple[Node, int]]]
) -> Iterator[Diagnostic]:
    """Features that a classifier averages over the whole map, each of which saw a part of the input only.

    Where something else reads the features too, the mean is a gate or a context, not the classifier's.
    """
    for node in graph.layers:
        shape = node.inputs[0].type.shape if node.inputs else ()
        field = fields.get(node.inputs[0]) if node.inputs else None
        if node.op != "avgpool" or field is None or node.attrs["kernel"] != shape[1:] or _positions(shape) == 1:
            continue
        if len(uses[node.inputs[0]]) > 1:
            continue
        whole = field.input.types[0].shape[1:]
        sizes = field.height.size, field.width.size
        if 0 < sizes[0] < whole[0] or 0 < sizes[1] < whole[1]:
            title = "no feature behind this classifier sees the whole input"
            seen = " x ".join(map(number_text, sizes))
            note = f"each sees {seen} of {whole[0]} x {whole[1]} pixels; only their mean comes from all"
            help = "more layers or larger strides see more"
            yield _warning(Code.SMALL_FIELD, title, node, "averages them", [note], help)


def _unequal_strides(graph: Graph, fields: dict[Value, Field]) -> Iterator[Diagnostic]:
    """Joins of a path that was as coarse as stride 32, say, since its last join, with one of stride 4 or less."""
    grains: dict[Value, Fraction] = {}
    for node in graph.nodes:
        for value in node.outputs:
            if value in fields:
                grains[value] = _jump(fields[value])
        operands = [grains[value] for value in dict.fromkeys(node.inputs) if value in grains]
        if node.op in JOINS:
            same = [value for value in node.inputs if value in grains and _positions(value.type.shape) > 1]
            strides = [grains[value] for value in same if value.type.shape[1:] == node.types[0].shape[1:]]
            if len(strides) > 1 and max(strides) >= GRAIN_RATIO * min(strides):
                yield _strides_warning(node, min(strides), max(strides))
        elif operands and node.output in grains:
            grains[node.output] = max(grains[node.output], *operands)


def _jump(field: Field) -> Fraction:
    return max(Fraction(1), field.rows.scale, field.cols.scale)


def _strides_warning(node: Node, low: Fraction, high: Fraction) -> Diagnostic:
    title = f"`{node.op}` joins paths of strides {number_text(low)} and {number_text(high)}"
    note = f"one path was coarser by {number_text(high / low)} before it came here: it says little of single positions"
    help = "join in steps, as a U-Net does"
    return _warning(Code.UNEQUAL_STRIDES, title, node, "joins very unequal strides", [note], help)


def _warning(
    code: Code,
    title: str,
    node: Node,
    label: str,
    notes: Iterable[str],
    help: str,
    beside: Iterable[Label | None] = (),
) -> Diagnostic:
    primary = _label(node, label)
    secondary = tuple(item for item in beside if item is not None and (primary is None or item.span != primary.span))
    return Diagnostic(code, Level.WARNING, title, primary, secondary, tuple(notes), help)


def _label(node: Node, text: str) -> Label | None:
    span = min(node.spans, key=_order, default=None)
    return Label(span, text) if span is not None else None


def _order(span: Span) -> tuple[str, int]:
    return span.source.name, span.start
