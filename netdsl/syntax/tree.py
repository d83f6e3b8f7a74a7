"""The syntax tree of a ``.net`` file: what was written, and where; nothing is resolved. Nodes compare by identity.
They are not changed once made (unchecked: frozen dataclasses take twice as long to define and to make), and show
themselves in one way (a ``repr`` of its own for each takes as long to define as all else).

Chains (``a + b - c``, ``a -> b -> c``) are flat nodes, so the depth of a tree is bounded by the
depth of its brackets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from netdsl.record import struct
from netdsl.source import Source, Span


@struct(eq=False)
class Syntax:
    """Base of all nodes."""

    span: Span

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.span}>"


# -- expressions -----------------------------------------------------------------------------------


@struct(eq=False)
class Expr(Syntax):
    """Base of all expressions."""


@struct(eq=False)
class Name(Expr):
    """An identifier, or ``in``."""

    text: str


@struct(eq=False)
class Number(Expr):
    value: int | float


@struct(eq=False)
class Dims(Expr):
    """A size such as ``3x3``."""

    sizes: tuple[int, ...]


@struct(eq=False)
class String(Expr):
    value: str


@struct(eq=False)
class Flag(Expr):
    """``yes`` or ``no``."""

    value: bool


@struct(eq=False)
class ListExpr(Expr):
    items: tuple[Expr, ...]


@struct(eq=False)
class TupleExpr(Expr):
    """``(a, b)``, or ``a, b`` where several values may stand."""

    items: tuple[Expr, ...]


@struct(eq=False)
class Group(Expr):
    """``(inner)``; matters to ``as``, which numbers what a group makes."""

    inner: Expr


@struct(eq=False)
class Argument(Syntax):
    """``value`` or ``name=value`` in a call."""

    name: Name | None
    value: Expr


@struct(eq=False)
class Call(Expr):
    """``name(arguments)``."""

    name: Name
    arguments: tuple[Argument, ...]


@struct(eq=False)
class Index(Expr):
    """``base[i][j]...``."""

    base: Expr
    indices: tuple[Expr, ...]


@struct(eq=False)
class Negate(Expr):
    operand: Expr


@struct(eq=False)
class Not(Expr):
    operand: Expr


@struct(eq=False)
class Operator(Syntax):
    """An infix sign such as ``+``."""

    text: str


@struct(eq=False)
class Arithmetic(Expr):
    """``operands[0] operators[0] operands[1] ...`` of one precedence, evaluated from the left."""

    operands: tuple[Expr, ...]
    operators: tuple[Operator, ...]


@struct(eq=False)
class Comparison(Expr):
    left: Expr
    operator: Operator
    right: Expr


@struct(eq=False)
class Logic(Expr):
    """``and`` or ``or`` over two or more operands."""

    operator: str
    operands: tuple[Expr, ...]


@struct(eq=False)
class Label(Syntax):
    """The name behind ``as``: ``layer``, or ``layer[i]`` which appends a known value."""

    text: str
    index: Expr | None


@struct(eq=False)
class Named(Expr):
    """``value as label``."""

    value: Expr
    label: Label


@struct(eq=False)
class Pipe(Expr):
    """``stages[0] -> stages[1] -> ...``."""

    stages: tuple[Expr, ...]


@struct(eq=False)
class Conditional(Expr):
    """``if c { ... } else if d { ... } else { ... }``, as a statement or as a value."""

    conditions: tuple[Expr, ...]
    bodies: tuple[Body, ...]
    otherwise: Body | None


# -- statements ------------------------------------------------------------------------------------


@struct(eq=False)
class Statement(Syntax):
    """Base of all statements."""


@struct(eq=False)
class Body(Syntax):
    """Statements in braces."""

    statements: tuple[Statement, ...]


@struct(eq=False)
class Input(Statement):
    names: tuple[Name, ...]
    shape: Expr


@struct(eq=False)
class OutputItem(Syntax):
    name: Name
    value: Expr | None


@struct(eq=False)
class Output(Statement):
    items: tuple[OutputItem, ...]


@struct(eq=False)
class Layer(Statement):
    """``layer name = Op(...)``: one instance, whose uses share their weights."""

    name: Name
    value: Expr


@struct(eq=False)
class Return(Statement):
    value: Expr


@struct(eq=False)
class For(Statement):
    names: tuple[Name, ...]
    values: Expr
    body: Body


@struct(eq=False)
class Assign(Statement):
    """``a = value`` or ``a, b = value``; ``parenthesized`` targets don't change the meaning."""

    targets: tuple[Name, ...]
    value: Expr


@struct(eq=False)
class Evaluate(Statement):
    """An expression standing alone: a branch's value, or an ``if`` used as a statement."""

    value: Expr


# -- declarations ----------------------------------------------------------------------------------


@struct(eq=False)
class Declaration(Syntax):
    """Base of what may stand at the top of a file."""


@struct(eq=False)
class Use(Declaration):
    """``use "file.net"`` or ``use a.b``; ``names`` empty brings in every block."""

    path: String | tuple[Name, ...]
    names: tuple[Name, ...]


@struct(eq=False)
class Parameter(Syntax):
    """A parameter of a net or block. ``kind`` is the annotation it has or shares."""

    name: Name
    kind: Name
    default: Expr | None


@struct(eq=False)
class Net(Declaration):
    name: Name
    parameters: tuple[Parameter, ...]
    body: Body


@struct(eq=False)
class Variant(Declaration):
    """``net ResNet50 = ResNet([3, 4, 6, 3])``."""

    name: Name
    value: Expr


@struct(eq=False)
class Block(Declaration):
    name: Name
    parameters: tuple[Parameter, ...]
    body: Body


@struct(eq=False)
class Constant(Declaration):
    """``name = known value`` at the top of a file or in a ``train`` block."""

    name: Name
    value: Expr


@struct(eq=False)
class Target(Declaration):
    """``target name: class``, ``target name: class [H, W]`` or ``target name: [C, H, W]``."""

    name: Name
    kind: Name | None
    shape: ListExpr | None


@struct(eq=False)
class Setting(Declaration):
    """``batch 64``, ``schedule cosine(warmup = 1)``."""

    name: Name
    values: tuple[Expr, ...]


@struct(eq=False)
class TrainCall(Declaration):
    """``sgd(lr = 0.1)``: the optimizer."""

    call: Call


@struct(eq=False)
class Train(Declaration):
    net: Name
    items: tuple[Target | Setting | TrainCall | Constant, ...]


@struct(eq=False)
class Program(Syntax):
    """A whole file."""

    source: Source
    declarations: tuple[Declaration, ...]


def below(root: Syntax) -> Iterator[Syntax]:
    """``root`` and all nodes below it, in reading order."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(children(node))))


def children(node: Syntax) -> Iterator[Syntax]:
    """The nodes directly below ``node``, in reading order."""
    for item in fields(node):
        value = getattr(node, item.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Syntax):
                yield child
