"""What elaboration carries along, and the dispatch over tree nodes.

The modules beside this one register one function a tree node (``@expression``, ``@stage``, ``@statement``);
they call each other only through :class:`Run`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any, Unpack

from netdsl.diagnostics import Code, Details, Diagnostics, Label, ResourceLimit
from netdsl.elaborate import limits
from netdsl.elaborate.files import Module
from netdsl.elaborate.names import NameScope, Spot
from netdsl.elaborate.scope import Binding, Scope, Usage
from netdsl.elaborate.values import UNKNOWN, Known
from netdsl.ir.graph import Graph, Node, Value
from netdsl.record import record
from netdsl.source import Span
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.probe import Probe


@record(frozen=False, eq=False)
class Frame:
    """One net, block instance or ``train`` block being elaborated."""

    what: str
    """"net", "block", "train" or "file"."""
    name: str
    module: Module
    given: Known = None
    """What ``in`` stands for; None where nothing was piped in."""
    result: Known = None
    done: bool = False
    locals: dict[str, Span] = field(default_factory=dict)
    """Names that were bound inside a ``for`` or ``if`` only (for a better message)."""


@record
class Env:
    """Where an expression stands: its names of values, its names of layers, its block instance."""

    scope: Scope
    names: NameScope
    frame: Frame

    def spot(self) -> Spot:
        return Spot(self.names)

    def within(self, names: NameScope) -> Env:
        return self if names is self.names else Env(self.scope, names, self.frame)

    def inner(self) -> Env:
        """The inside of a ``for`` or ``if``."""
        return Env(Scope(self.scope, inner=True), self.names, self.frame)


Evaluate = Callable[["Run", Env, Any, Spot], Known]
Apply = Callable[["Run", Env, Any, Known, Spot], Known]
Execute = Callable[["Run", Env, Any], None]

_EXPRESSIONS: dict[type[tree.Syntax], Evaluate] = {}
_STAGES: dict[type[tree.Syntax], Apply] = {}
_STATEMENTS: dict[type[tree.Syntax], Execute] = {}


def expression(kind: type[tree.Syntax]) -> Callable[[Evaluate], Evaluate]:
    """Register how an expression is evaluated."""

    def enter(function: Evaluate) -> Evaluate:
        _EXPRESSIONS[kind] = function
        return function

    return enter


def stage(kind: type[tree.Syntax]) -> Callable[[Apply], Apply]:
    """Register how an expression behind ``->`` is applied to what is piped into it."""

    def enter(function: Apply) -> Apply:
        _STAGES[kind] = function
        return function

    return enter


def statement(kind: type[tree.Syntax]) -> Callable[[Execute], Execute]:
    """Register how a statement is executed."""

    def enter(function: Execute) -> Execute:
        _STATEMENTS[kind] = function
        return function

    return enter


@record(frozen=False, eq=False)
class Run:
    """One elaboration."""

    graph: Graph
    found: Diagnostics
    sizes: dict[str, int]
    probe: Probe | None = None
    """Who wants to know what other sizes would do."""
    usage: Usage = field(default_factory=Usage)
    taken: dict[str, Span] = field(default_factory=dict)
    """Every name of a node, block instance or group, and the text that gave it."""
    params: dict[str, tuple[Value, Span]] = field(default_factory=dict)
    output_spans: dict[str, Span] = field(default_factory=dict)
    trail: list[tuple[str, Span]] = field(default_factory=list)
    """The blocks being instantiated, outermost first: (name, where it is used)."""
    active: list[tree.Block] = field(default_factory=list)
    reached: set[Span] = field(default_factory=set)
    """The blocks that were instantiated, by the span of their names."""
    constants: dict[Module, Scope] = field(default_factory=dict)
    before: limits.Spent = field(default_factory=limits.Spent)
    """What other nets of the file took of its limits."""
    _names_in: dict[tree.Syntax, frozenset[str]] = field(default_factory=dict)
    _steps: int = 0
    _errors: int = 0
    _nesting: int = 0

    def __post_init__(self) -> None:
        self._most_steps = limits.MAX_STEPS - self.before.steps
        self._most_nodes = limits.MAX_NODES - self.before.nodes
        self._most_errors = limits.MAX_ERRORS - self.before.errors

    # -- dispatch ----------------------------------------------------------------------------------

    def evaluate(self, env: Env, expr: tree.Expr, spot: Spot | None = None) -> Known:
        """The value of an expression; UNKNOWN after an error."""
        self._enter(expr.span)
        try:
            value = _EXPRESSIONS[type(expr)](self, env, expr, spot or env.spot())
        finally:
            self._nesting -= 1
        if isinstance(value, list):
            self.count_step(expr.span, len(value) // limits.ITEMS_A_STEP)
        return value

    def apply(self, env: Env, expr: tree.Expr, given: Known, spot: Spot) -> Known:
        """What comes out of a stage when ``given`` is piped into it."""
        handler = _STAGES.get(type(expr))
        if handler is None:
            self.error(
                Code.WRONG_TYPE,
                "a layer, a block or a group stands behind `->`",
                expr.span,
            )
            return UNKNOWN
        self._enter(expr.span)
        try:
            return handler(self, env, expr, given, spot)
        finally:
            self._nesting -= 1

    def execute(self, env: Env, item: tree.Statement) -> None:
        self.count_step(item.span)
        _STATEMENTS[type(item)](self, env, item)

    def execute_all(self, env: Env, body: tree.Body) -> None:
        for item in body.statements:
            if env.frame.done:
                return
            self.execute(env, item)

    @property
    def steps(self) -> int:
        """How many steps were taken so far."""
        return self._steps

    def spent(self) -> limits.Spent:
        """What was taken of the limits of the file so far, by this net and those before it."""
        before = self.before
        nodes = before.nodes + len(self.graph.nodes)
        return limits.Spent(before.steps + self._steps, nodes, before.errors + self._errors)

    # -- limits ------------------------------------------------------------------------------------

    def _enter(self, span: Span) -> None:
        """One level deeper."""
        self.count_step(span)
        if self._nesting >= limits.MAX_NESTING:
            raise ResourceLimit.of(Code.LIMIT_DEPTH, "blocks and expressions are nested too deeply", span)
        self._nesting += 1

    def count_step(self, span: Span, steps: int = 1) -> None:
        self._steps += steps
        if self._steps > self._most_steps:
            raise ResourceLimit.of(
                Code.LIMIT_STEPS,
                f"elaboration takes more than {limits.MAX_STEPS:,} steps",
                span,
                help="a loop or repetition is too long",
            )

    # -- findings ----------------------------------------------------------------------------------

    def error(self, code: Code, title: str, span: Span, **details: Unpack[Details]) -> None:
        self.found.error(code, title, span, **self._with_uses(details))
        self._errors += 1
        if self._errors >= self._most_errors:
            self.found.raise_if_errors()

    def warning(self, code: Code, title: str, span: Span, **details: Unpack[Details]) -> None:
        self.found.warning(code, title, span, **self._with_uses(details))

    def _with_uses(self, details: Details) -> Details:
        """And where the block in question is used: the two innermost places."""
        uses = [Label(span, f"in this use of `{name}`") for name, span in reversed(self.trail[-2:])]
        return {**details, "secondary": [*details.get("secondary", ()), *uses]}

    # -- names -------------------------------------------------------------------------------------

    def claim(self, name: str, span: Span) -> bool:
        """Take a full name of a layer, block or group; reports when it is taken already."""
        first = self.taken.get(name)
        if first is None:
            self.taken[name] = span
            return True
        same = first == span
        self.error(
            Code.DUPLICATE_NAME,
            f"two layers are named `{name}`",
            span,
            secondary=() if same else [Label(first, "the first one")],
            help=_number_them(name.rsplit(".", 1)[-1]) if same else "name one of them otherwise: `stage as name`",
        )
        return False

    def bind(self, env: Env, name: tree.Name, value: Known, what: str = "value") -> bool:
        """Bind a name in its scope, or again where that is allowed; reports and returns False where not."""
        self.usage.bind(name.text, name.span, what)
        outer = env.scope.rebindable(name.text) if what == "value" else None
        if outer is not None:
            outer.value, outer.span = value, name.span
            return True
        present = env.scope.bindings.get(name.text)
        if present is not None:
            self.error(
                Code.REBOUND,
                f"`{name.text}` is bound already",
                name.span,
                secondary=[Label(present.span, "bound here")],
                help="take another name; only inside `for` and `if` may an outer name be bound again",
            )
            return False
        if env.scope.inner:
            env.frame.locals[name.text] = name.span
        env.scope.bindings[name.text] = Binding(value, name.span, what)
        return True

    def skip(self, env: Env, *nodes: tree.Syntax | None) -> None:
        """Count the names in text that is not elaborated this time (another branch, no round) as read."""
        for node in nodes:
            if node is None:
                continue
            if node not in self._names_in:
                names = (item.text for item in tree.below(node) if isinstance(item, tree.Name))
                self._names_in[node] = frozenset(names)
            for name in self._names_in[node]:
                binding = env.scope.find(name)
                if binding is not None:
                    self.usage.read.add(binding.span)

    def add(self, node: Node, span: Span) -> Node:
        """Append a node whose name was claimed."""
        if len(self.graph.nodes) >= self._most_nodes:
            who = "the nets of a file together" if self.before.nodes else "a network"
            raise ResourceLimit.of(
                Code.LIMIT_NODES, f"{who} may have at most {limits.MAX_NODES:,} layers and weights", span
            )
        return self.graph.add(node)


def _number_them(own: str) -> str:
    return f"number them in a loop, `as {own}[i]`, or name a repetition as a whole, `(...) * n as {own}`"
