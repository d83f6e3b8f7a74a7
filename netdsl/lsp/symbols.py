"""Who is meant by each name of a file: by scopes alone, so that it also works while the file has other errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netdsl.elaborate.scope import Nested
from netdsl.ops.base import all_ops
from netdsl.source import Span
from netdsl.syntax import tree


@dataclass(eq=False)
class Symbol:
    """A thing with a name. ``mentions`` are all places of the name in this file, that of its declaration included.

    ``kind`` is "value", "input", "output", "argument", "loop", "layer", "constant", "size", "target", "block" or
    "net". ``declaration`` is in another file where a block was brought in by ``use``.
    """

    name: str
    kind: str
    declaration: Span
    mentions: list[Span] = field(default_factory=list)
    node: tree.Syntax | None = None
    """What declares it: a block or net, the parameter, the statement."""
    parameters: dict[str, Symbol] = field(default_factory=dict)
    scope: Scope | None = None
    """Where it is bound."""


class Scope(Nested[Symbol]):
    """What names mean."""


@dataclass
class Symbols:
    """All names of one file."""

    all: list[Symbol] = field(default_factory=list)
    blocks: dict[str, Symbol] = field(default_factory=dict)
    nets: dict[str, Symbol] = field(default_factory=dict)

    def at(self, offset: int) -> tuple[Symbol, Span] | None:
        """The symbol named at an offset (the end of the name counts too)."""
        for symbol in self.all:
            for span in symbol.mentions:
                if span.start <= offset <= span.end:
                    return symbol, span
        return None

    def collides(self, symbol: Symbol, name: str) -> Symbol | None:
        """What has the name already, where ``symbol`` could be taken for it."""
        for other in self.all:
            if other is not symbol and other.name == name and _overlap(symbol, other):
                return other
        return None


def _overlap(one: Symbol, other: Symbol) -> bool:
    """Whether one's scope lies in the other's."""
    return _is_around(one.scope, other.scope) or _is_around(other.scope, one.scope)


def _is_around(outer: Scope | None, scope: Nested[Symbol] | None) -> bool:
    while scope is not None:
        if scope is outer:
            return True
        scope = scope.parent
    return outer is None


def find_symbols(program: tree.Program, used: Mapping[str, tree.Block]) -> Symbols:
    """The names of a file; ``used`` are the blocks that it brings in."""
    return _Finder(program, used).run()


class _Finder:
    """One walk over one file."""

    def __init__(self, program: tree.Program, used: Mapping[str, tree.Block]) -> None:
        self.program = program
        self.symbols = Symbols()
        self.top = Scope()
        self.bodies: dict[str, Scope] = {}
        for name, block in used.items():
            self._declare_callable(self.symbols.blocks, tree.Name(block.name.span, name), "block", block, False)

    def run(self) -> Symbols:
        for item in self.program.declarations:
            match item:
                case tree.Block():
                    self._declare_callable(self.symbols.blocks, item.name, "block", item, True)
                case tree.Net() | tree.Variant():
                    self._declare_callable(self.symbols.nets, item.name, "net", item, True)
                case tree.Constant():
                    self.bind(self.top, item.name, "constant", item)
        for item in self.program.declarations:
            self._declaration(item)
        for item in self.program.declarations:
            if isinstance(item, tree.Train):
                self._train(item)
        return self.symbols

    # -- declarations --------------------------------------------------------------------------

    def _declare_callable(
        self, table: dict[str, Symbol], name: tree.Name, kind: str, node: tree.Syntax, here: bool
    ) -> None:
        symbol = Symbol(name.text, kind, name.span, [name.span] if here else [], node, scope=self.top)
        table[name.text] = symbol
        self.symbols.all.append(symbol)
        if here and isinstance(node, tree.Block | tree.Net):
            scope = self.bodies[name.text] = Scope(self.top)
            for parameter in node.parameters:
                symbol.parameters[parameter.name.text] = self.bind(scope, parameter.name, "argument", parameter)

    def _declaration(self, item: tree.Declaration) -> None:
        match item:
            case tree.Use():
                for name in item.names:
                    self._mention(self.symbols.blocks.get(name.text), name.span)
            case tree.Block() | tree.Net():
                scope = self.bodies[item.name.text]
                for parameter in item.parameters:
                    if parameter.default is not None:
                        self.value(parameter.default, scope)
                self._statements(item.body, scope)
            case tree.Variant():
                self._variant(item)
            case tree.Constant():
                self.value(item.value, self.top)

    def _variant(self, item: tree.Variant) -> None:
        call = item.value
        name = call.name if isinstance(call, tree.Call) else call
        if isinstance(name, tree.Name):
            self._mention(self.symbols.nets.get(name.text), name.span)
        if isinstance(call, tree.Call):
            net = self._base(item.name.text)
            self._arguments(call.arguments, net.parameters if net else {}, self.top)

    def _base(self, name: str) -> Symbol | None:
        """The net that a variant stands for in the end."""
        for _ in self.symbols.nets:
            symbol = self.symbols.nets.get(name)
            if symbol is None or not isinstance(symbol.node, tree.Variant):
                return symbol
            value = symbol.node.value
            base = value.name if isinstance(value, tree.Call) else value
            name = base.text if isinstance(base, tree.Name) else ""
        return None

    def _train(self, item: tree.Train) -> None:
        self._mention(self.symbols.nets.get(item.net.text), item.net.span)
        net = self._base(item.net.text)
        scope = Scope(self.bodies.get(net.name, self.top) if net else self.top)
        for entry in item.items:
            if isinstance(entry, tree.Target):
                self.bind(scope, entry.name, "target", entry)
        for entry in item.items:
            match entry:
                case tree.Setting():
                    for value in entry.values:
                        self.value(value, scope)
                case tree.TrainCall():
                    self.value(entry.call, scope)
                case tree.Constant():
                    self.value(entry.value, scope)
                    self.bind(scope, entry.name, "value", entry)

    # -- statements ----------------------------------------------------------------------------

    def _statements(self, body: tree.Body, scope: Scope, as_stage: bool = False) -> None:
        for item in body.statements:
            self._statement(item, scope, as_stage)

    def _statement(self, item: tree.Statement, scope: Scope, as_stage: bool) -> None:
        match item:
            case tree.Input():
                self._input(item, scope)
            case tree.Output():
                for output in item.items:
                    if output.value is None:
                        self.value(output.name, scope)
                    else:
                        self.value(output.value, scope)
                        self.bind(scope, output.name, "output", output)
            case tree.Layer():
                self.stage(item.value, scope)
                self.bind(scope, item.name, "layer", item)
            case tree.Return():
                self.value(item.value, scope)
            case tree.For():
                self.value(item.values, scope)
                inner = Scope(scope, inner=True)
                for name in item.names:
                    self.bind(inner, name, "loop", item)
                self._statements(item.body, inner)
            case tree.Assign():
                self.value(item.value, scope)
                for name in item.targets:
                    self.bind(scope, name, "value", item)
            case tree.Evaluate():
                (self.stage if as_stage else self.value)(item.value, scope)

    def _input(self, item: tree.Input, scope: Scope) -> None:
        for axis in item.shape.items if isinstance(item.shape, tree.ListExpr) else (item.shape,):
            if isinstance(axis, tree.Name) and scope.find(axis.text) is None:
                self.bind(scope, axis, "size", item)
            else:
                self.value(axis, scope)
        for name in item.names:
            self.bind(scope, name, "input", item)

    def bind(self, scope: Scope, name: tree.Name, kind: str, node: tree.Syntax) -> Symbol:
        present = scope.bindings.get(name.text) or (scope.rebindable(name.text) if kind == "value" else None)
        if present is not None:
            self._mention(present, name.span)
            return present
        symbol = Symbol(name.text, kind, name.span, [name.span], node, scope=scope)
        scope.bindings[name.text] = symbol
        self.symbols.all.append(symbol)
        return symbol

    def _mention(self, symbol: Symbol | None, span: Span) -> None:
        if symbol is not None and span not in symbol.mentions:
            symbol.mentions.append(span)

    # -- expressions ---------------------------------------------------------------------------

    def value(self, expr: tree.Syntax, scope: Scope) -> None:
        """An expression that stands for a value."""
        match expr:
            case tree.Name():
                self._mention(scope.find(expr.text), expr.span)
            case tree.Call():
                self._call(expr, scope)
            case tree.Pipe():
                self.value(expr.stages[0], scope)
                for stage in expr.stages[1:]:
                    self.stage(stage, scope)
            case tree.Conditional():
                self._conditional(expr, scope, as_stage=False)
            case _:
                for child in tree.children(expr):
                    self.value(child, scope)

    def stage(self, expr: tree.Syntax, scope: Scope) -> None:
        """An expression behind ``->``."""
        match expr:
            case tree.Name():
                self._mention(self._callee(expr.text, scope), expr.span)
            case tree.Group():
                self.stage(expr.inner, scope)
            case tree.Named():
                self.stage(expr.value, scope)
                if expr.label.index is not None:
                    self.value(expr.label.index, scope)
            case tree.Pipe():
                for item in expr.stages:
                    self.stage(item, scope)
            case tree.Arithmetic():
                self.stage(expr.operands[0], scope)
                for item in expr.operands[1:]:
                    self.value(item, scope)
            case tree.Conditional():
                self._conditional(expr, scope, as_stage=True)
            case _:
                self.value(expr, scope)

    def _conditional(self, expr: tree.Conditional, scope: Scope, as_stage: bool) -> None:
        for condition in expr.conditions:
            self.value(condition, scope)
        for body in (*expr.bodies, expr.otherwise):
            if body is not None:
                self._statements(body, Scope(scope, inner=True), as_stage)

    def _callee(self, name: str, scope: Scope) -> Symbol | None:
        bound = scope.find(name)
        return bound if bound is not None and bound.kind == "layer" else self.symbols.blocks.get(name)

    def _call(self, call: tree.Call, scope: Scope) -> None:
        callee = self._callee(call.name.text, scope)
        self._mention(callee, call.name.span)
        words = _words_taken(call) if callee is None else set()
        parameters = callee.parameters if callee is not None else {}
        plain = [argument for argument in call.arguments if argument.span not in words]
        self._arguments(plain, parameters, scope)

    def _arguments(self, arguments: Iterable[tree.Argument], parameters: Mapping[str, Symbol], scope: Scope) -> None:
        for argument in arguments:
            if argument.name is not None:
                self._mention(parameters.get(argument.name.text), argument.name.span)
            self.value(argument.value, scope)


def _words_taken(call: tree.Call) -> set[Span]:
    """The arguments of an op that are its words (``pad=same``), which win over names of values."""
    op = all_ops().get(call.name.text)
    if op is None:
        return set()
    by_name = {arg.name: set(arg.words) for arg in op.args}
    found: set[Span] = set()
    possible: set[str] = set()  # tensors before it may shift what a positional argument is
    remaining = iter(op.args)
    for argument in call.arguments:
        if argument.name is None:
            arg = next(remaining, None)
            possible |= set(arg.words) if arg is not None else set()
        words = possible if argument.name is None else by_name.get(argument.name.text, set())
        if isinstance(argument.value, tree.Name) and argument.value.text in words:
            found.add(argument.span)
    return found
