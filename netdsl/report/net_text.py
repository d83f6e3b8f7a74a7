"""A graph of layers as .net text: flat, in the order of the graph, one pipe a chain.

Layers keep their names; the dots of names inside blocks become underlines, so weights may be called differently:
``names`` of the result maps the graph's parameters to those of the text. Loading the text gives the same numbers, also
with weights under their old names, which ``netdsl.weights.converted`` knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from netdsl.diagnostics import InternalError
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.scalar import Binary, Const, Expr, Unary, Var
from netdsl.ops.base import Arg, Kind, get
from netdsl.syntax.words import CONSTANTS, CONTROL, DECLARATIONS, OPERATORS, SELF

_RESERVED = {*CONSTANTS, *CONTROL, *DECLARATIONS, *OPERATORS, *SELF}
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
SIZES = ("height", "width")


@dataclass(frozen=True)
class NetText:
    """``text`` is a whole file; ``names`` maps parameters of the graph to those of the net it declares."""

    text: str
    names: dict[str, str]


def net_text(graph: Graph, comment: Iterable[str] = ()) -> NetText:
    """``graph`` (of inference, before any pass) as a file of one net, whose image has any size that fits."""
    writer = _Writer(graph)
    body = [*writer.inputs(), *writer.shared(), "", *writer.layers(), "", *writer.outputs()]
    lines = "".join(f"    {line}\n" if line else "\n" for line in body)
    head = "".join(f"# {line}\n" for line in comment)
    name = graph.name if graph.name.isidentifier() else "Net"
    arguments = ", ".join(f"{size}: int = {value}" for size, value in zip(SIZES, writer.size, strict=False))
    return NetText(f"{head}net {name}{f'({arguments})' if arguments else ''} {{\n{lines}}}\n", writer.names)


@dataclass
class _Writer:
    graph: Graph
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.graph
        images = [node.output.type.shape[1:] for node in graph.inputs if len(node.output.type.shape) == 3]
        self.size = images[0] if images and len(set(images)) == 1 else ()
        self._readers = graph.uses()
        self._idents: dict[str, str] = {}
        self._taken = {*SIZES, *graph.outputs}
        for node in graph.inputs:
            self._idents[node.name] = node.name
            self._taken.add(node.name)
        for layer in [_weights_of(node) or node.name for node in graph.layers]:
            if layer.isidentifier() and layer.isascii() and layer not in self._taken and layer not in _RESERVED:
                self._idents[layer] = layer  # what is a word keeps it: only others change
                self._taken.add(layer)
        users: dict[str, list[Node]] = {}
        for node in graph.layers:
            if layer := _weights_of(node):
                users.setdefault(layer, []).append(node)
        self._shared = {layer: nodes[0] for layer, nodes in users.items() if len(nodes) > 1}

    def inputs(self) -> list[str]:
        lines = []
        for node in self.graph.inputs:
            shape = node.output.type.shape
            sizes = [shape[0], *SIZES] if self.size and len(shape) == 3 else shape
            lines.append(f"input {node.name}: [{', '.join(map(str, sizes))}]")
        return lines

    def shared(self) -> list[str]:
        return [f"layer {self._named(layer)} = {_call(node)}" for layer, node in self._shared.items()]

    def layers(self) -> list[str]:
        chains: list[list[Node]] = []
        for node in self.graph.layers:
            if chains and self._goes_on(chains[-1][-1], node):
                chains[-1].append(node)
            else:
                chains.append([node])
        return [line for chain in chains for line in self._chain(chain)]

    def _chain(self, chain: list[Node]) -> list[str]:
        """One pipe, called by its last layer."""
        stages = [self._stage(node) for node in chain]
        source = f"{self._operands(chain[0])} -> {stages[0]}" if stages[0] else self._arithmetic(chain[0])
        return [f"{self._value(chain[-1].output)} = {source}", *(f"    -> {stage}" for stage in stages[1:])]

    def _goes_on(self, before: Node, node: Node) -> bool:
        """Whether ``node`` is the next stage of the pipe that ``before`` ends."""
        operands = [value for value in node.inputs if value.node.op != "param"]
        if node.op == "map" or operands != [before.output] or before.output in self.graph.outputs.values():
            return False
        return len(self._readers.get(before.output, [])) == 1

    def outputs(self) -> list[str]:
        return [f"output {name} = {self._value(value)}" for name, value in self.graph.outputs.items()]

    # -- pieces ----------------------------------------------------------------------------------------

    def _value(self, value: Value) -> str:
        return self._named(value.node.name)

    def _named(self, name: str) -> str:
        """A word of the language for a full name; always the same, and different for different names."""
        if name not in self._idents:
            word = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)
            word = f"_{word}" if not word or word[0].isdigit() else word
            while word in self._taken or word in _RESERVED:
                word += "_"
            self._taken.add(word)
            self._idents[name] = word
        return self._idents[name]

    def _operands(self, node: Node) -> str:
        values = [self._value(value) for value in node.inputs if value.node.op != "param"]
        return values[0] if len(values) == 1 else f"({', '.join(values)})"

    def _stage(self, node: Node) -> str:
        """The layer behind an arrow; empty for arithmetic."""
        layer = _weights_of(node)
        word = self._named(layer or node.name)
        for value in node.inputs:
            if value.node.op == "param":
                self.names[value.name] = word + value.name[len(layer) :]
        if node.op == "map":
            return ""
        return word if layer in self._shared else f"{_call(node)} as {word}"

    def _arithmetic(self, node: Node) -> str:
        return _expression(node.attrs["expr"], [self._value(value) for value in node.inputs])


def _weights_of(node: Node) -> str:
    """The layer that the first parameter is called by; empty without parameters."""
    for value in node.inputs:
        if value.node.op == "param":
            return value.name.rpartition(".")[0]
    return ""


def _call(node: Node) -> str:
    """The op with the arguments that are not as they would be without saying."""
    parts: list[str] = []
    attrs = dict(node.attrs)
    if node.op == "upsample" and attrs["size"] is not None:
        sizes = zip(attrs["size"], node.inputs[0].type.shape[1:], strict=True)
        factors = [(new // old, new % old) for new, old in sizes]
        if not any(rest for _, rest in factors):
            attrs |= {"factor": tuple(factor for factor, _ in factors), "size": None}
    ordered = True
    for arg in get(node.op).args:
        value = attrs.get(arg.name)
        if value is None or (not arg.required and value == arg.default):
            ordered = False
        elif ordered and (arg.required or not parts):
            parts.append(_argument(arg, value))
        else:
            parts.append(f"{arg.name}={_argument(arg, value)}")
    return f"{node.op}({', '.join(parts)})" if parts else node.op


def _argument(arg: Arg, value: Any) -> str:
    if isinstance(value, str):
        return value
    match arg.kind:
        case Kind.BOOL:
            return "yes" if value else "no"
        case Kind.SIZE:
            return str(value[0]) if value[0] == value[1] and arg.name != "kernel" else "x".join(map(str, value))
        case Kind.PAD:
            return str(value[0]) if len(set(value)) == 1 else f"({', '.join(map(str, value))})"
        case Kind.SHAPE | Kind.INTS | Kind.FLOATS:
            return f"[{', '.join(map(repr, value))}]"
    return repr(value)


def _expression(expr: Expr, names: list[str]) -> str:
    match expr:
        case Var(index):
            return names[index]
        case Const(value):
            return repr(value) if value >= 0 else f"({value!r})"
        case Unary("neg", x):
            return f"-({_expression(x, names)})" if not isinstance(x, Var) else f"-{_expression(x, names)}"
        case Binary(op, x, y) if op in _SIGNS:
            return f"{_expression(x, names)} {_SIGNS[op]} {_expression(y, names)}"
    raise InternalError(f"net_text: no arithmetic of the language is {expr}")
