"""Reduced rules to tree nodes. One small function a rule, named like the rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from netdsl.diagnostics import Code, Diagnostics
from netdsl.source import Source, Span
from netdsl.syntax import tree
from netdsl.syntax.lexer import Token

MAX_INTEGER = 2**31 - 1
_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\t": "\t"}

Children = list[Any]


class Builder:
    """Callbacks of the automaton; ``table`` maps a rule's name to its callback."""

    def __init__(self, source: Source, found: Diagnostics) -> None:
        self.source, self.found = source, found
        self.table: dict[str, Callable[[Children], Any]] = {
            name.removeprefix("on_"): getattr(self, name) for name in dir(self) if name.startswith("on_")
        }

    # -- help ------------------------------------------------------------------------------------

    def span(self, children: Sequence[Any]) -> Span:
        """From the first to the last character of ``children``."""
        if not children:
            return self.source.span(0, 0)
        first, last = children[0], children[-1]
        start = first.start if isinstance(first, Token) else first.span.start
        end = last.end if isinstance(last, Token) else last.span.end
        return Span(self.source, start, end)

    def name_of(self, token: Token) -> tree.Name:
        return tree.Name(Span(self.source, token.start, token.end), token.text)

    def names_in(self, children: Children) -> tuple[tree.Name, ...]:
        """The names among tokens of kind NAME or keywords used as names; skips punctuation."""
        return tuple(self.name_of(item) for item in children if isinstance(item, Token) and _is_word(item))

    # -- names, numbers, strings -------------------------------------------------------------------

    def on_name(self, children: Children) -> tree.Name:
        return self.name_of(children[0])

    def on_names(self, children: Children) -> tree.TupleExpr:
        return tree.TupleExpr(self.span(children), self.names_in(children))

    on_dotted = on_names

    def on_number(self, children: Children) -> tree.Number:
        token: Token = children[0]
        if token.kind == "FLOAT":
            return tree.Number(self.span(children), self._finite(token))
        return tree.Number(self.span(children), self._integer(token.text, token))

    def _finite(self, token: Token) -> float:
        value = float(token.text)
        if value == float("inf"):
            span = self.source.span(token.start, token.end)
            self.found.error(Code.LIMIT_SIZE, f"`{token.text}` is too large a number", span)
            return 0.0
        return value

    def _integer(self, text: str, token: Token) -> int:
        if len(text) > 10 or int(text) > MAX_INTEGER:
            span = self.source.span(token.start, token.end)
            self.found.error(Code.LIMIT_SIZE, f"whole numbers go up to {MAX_INTEGER:,}", span)
            return 0
        return int(text)

    def on_dims(self, children: Children) -> tree.Dims:
        token: Token = children[0]
        sizes = tuple(self._integer(part, token) for part in token.text.split("x"))
        return tree.Dims(self.span(children), sizes)

    def on_string(self, children: Children) -> tree.String:
        text = children[0].text[1:-1]
        if "\\" in text:
            text = _unescape(text)
        return tree.String(self.span(children), text)

    def on_flag(self, children: Children) -> tree.Flag:
        return tree.Flag(self.span(children), children[0].kind == "YES")

    # -- expressions -------------------------------------------------------------------------------

    def on_exprs(self, children: Children) -> tree.TupleExpr:
        return tree.TupleExpr(self.span(children), _nodes(children))

    on_items = on_exprs

    def on_group(self, children: Children) -> tree.Expr:
        inner: tree.TupleExpr = children[1]
        if len(inner.items) == 1 and inner.span.end == inner.items[0].span.end:  # no comma
            return tree.Group(self.span(children), inner.items[0])
        return tree.TupleExpr(self.span(children), inner.items)

    def on_list(self, children: Children) -> tree.ListExpr:
        items = children[1].items if len(children) == 3 else ()
        return tree.ListExpr(self.span(children), items)

    def on_argument(self, children: Children) -> tree.Argument:
        name = self.name_of(children[0]) if isinstance(children[0], Token) else None
        return tree.Argument(self.span(children), name, children[-1])

    def on_arguments(self, children: Children) -> Children:
        return children

    def on_call(self, children: Children) -> tree.Call:
        arguments = children[1]
        span = Span(self.source, children[0].start, arguments[-1].end)
        return tree.Call(span, self.name_of(children[0]), _nodes(arguments))

    def on_index(self, children: Children) -> tree.Index:
        base, *indices = _nodes(children)
        return tree.Index(self.span(children), base, tuple(indices))

    def on_negate(self, children: Children) -> tree.Expr:
        return self._negated(children)

    on_negative = on_negate

    def _negated(self, children: Children) -> tree.Expr:
        operand = children[1]
        if isinstance(operand, tree.Number):
            return tree.Number(self.span(children), -operand.value)
        return tree.Negate(self.span(children), operand)

    def on_not_(self, children: Children) -> tree.Not:
        return tree.Not(self.span(children), children[1])

    def on_sum(self, children: Children) -> tree.Arithmetic:
        operators = tuple(tree.Operator(Span(self.source, sign.start, sign.end), sign.text) for sign in children[1::2])
        return tree.Arithmetic(self.span(children), tuple(children[::2]), operators)

    on_product = on_power = on_sum

    def on_comparison(self, children: Children) -> tree.Comparison:
        left, sign, right = children
        operator = tree.Operator(Span(self.source, sign.start, sign.end), sign.text)
        return tree.Comparison(self.span(children), left, operator, right)

    def on_conjunction(self, children: Children) -> tree.Logic:
        return tree.Logic(self.span(children), "and", _nodes(children))

    def on_disjunction(self, children: Children) -> tree.Logic:
        return tree.Logic(self.span(children), "or", _nodes(children))

    def on_label(self, children: Children) -> tree.Label:
        index = children[2] if len(children) > 1 else None
        return tree.Label(self.span(children), children[0].text, index)

    def on_named(self, children: Children) -> tree.Named:
        return tree.Named(self.span(children), children[0], children[2])

    def on_pipe(self, children: Children) -> tree.Pipe:
        return tree.Pipe(self.span(children), _nodes(children))

    def on_conditional(self, children: Children) -> tree.Conditional:
        nodes = _nodes(children)
        otherwise = nodes[-1] if len(nodes) % 2 else None
        pairs = nodes[: len(nodes) // 2 * 2]
        return tree.Conditional(self.span(children), pairs[::2], pairs[1::2], otherwise)

    # -- statements --------------------------------------------------------------------------------

    def on_body(self, children: Children) -> tree.Body:
        statements = _nodes(children)
        self._check_lines(statements)
        return tree.Body(self.span(children), statements)

    def _check_lines(self, statements: Sequence[tree.Syntax]) -> None:
        """Two statements never share a line: it nearly always is a forgotten sign."""
        for before, after in pairwise(statements):
            if "\n" not in self.source.text[before.span.end : after.span.start]:
                self._report_same_line(before, after)

    def _report_same_line(self, before: tree.Syntax, after: tree.Syntax) -> None:
        gap = Span(self.source, after.span.start, min(after.span.end, after.span.start + 1))
        word = _leading_word(after)
        if after.span.text.startswith("(") and before.span.text[-1:].isalnum():
            hint = f"a call has no blank before its bracket: `{before.span.text.split()[-1]}(`"
        elif word == "as":
            hint = "a stage has one name"
        elif isinstance(before, tree.Assign | tree.Return | tree.Output | tree.Evaluate):
            hint = f"a `->` before `{word}`?" if word else "is a `->` or an operator missing?"
        else:
            hint = "start a new line"
        self.found.error(
            Code.SYNTAX, f"expected `->`, an operator or a new line before `{word or gap.text}`", gap, help=hint
        )

    def on_input(self, children: Children) -> tree.Input:
        names: tree.TupleExpr = children[1]
        return tree.Input(self.span(children), _as_names(names.items), children[3])

    def on_output_item(self, children: Children) -> tree.OutputItem:
        value = children[2] if len(children) > 1 else None
        return tree.OutputItem(self.span(children), self.name_of(children[0]), value)

    def on_output(self, children: Children) -> tree.Output:
        return tree.Output(self.span(children), _nodes(children))

    def on_layer(self, children: Children) -> tree.Layer:
        return tree.Layer(self.span(children), self.name_of(children[1]), children[3])

    def on_return(self, children: Children) -> tree.Return:
        return tree.Return(self.span(children), _one(children[1]))

    def on_for(self, children: Children) -> tree.For:
        names: tree.TupleExpr = children[1]
        return tree.For(self.span(children), _as_names(names.items), children[3], children[4])

    def on_assign(self, children: Children) -> tree.Assign:
        target = _one(children[0])
        items = target.items if isinstance(target, tree.TupleExpr) else (_ungrouped(target),)
        targets = [item for item in items if isinstance(item, tree.Name)]
        for item in items:
            if not isinstance(item, tree.Name) or item.text == "in":
                self._bad_target(item)
        return tree.Assign(self.span(children), tuple(targets), _one(children[2]))

    def _bad_target(self, item: tree.Expr) -> None:
        text = "`in` is the value piped into a block" if item.span.text == "in" else "expected a name before `=`"
        self.found.error(Code.SYNTAX, text, item.span, help="only names can be bound: `name = value`")

    def on_evaluate(self, children: Children) -> tree.Evaluate:
        return tree.Evaluate(self.span(children), _one(children[0]))

    # -- declarations ------------------------------------------------------------------------------

    def on_use(self, children: Children) -> tree.Use:
        path = children[1]
        where: tree.String | tuple[tree.Name, ...]
        if isinstance(path, Token):
            where = self.on_string([path])
        else:
            where = _as_names(path.items)
        names = _as_names(children[3].items) if len(children) > 2 else ()
        return tree.Use(self.span(children), where, names)

    def on_parameter(self, children: Children) -> tuple[tree.Name, tree.Name | None, tree.Expr | None, Span]:
        kind = default = None
        for sign, value in zip(children[1::2], children[2::2], strict=True):
            if sign.kind == "COLON":
                kind = self.name_of(value)
            else:
                default = value
        return self.name_of(children[0]), kind, default, self.span(children)

    def on_parameters(self, children: Children) -> tuple[tree.Parameter, ...]:
        """Parameters without a kind take that of the next one that has it."""
        result: list[tree.Parameter] = []
        kind: tree.Name | None = None
        for item in reversed([child for child in children if not isinstance(child, Token)]):
            name, own, default, span = item
            kind = own or kind
            if kind is None:
                self.found.error(
                    Code.SYNTAX, f"`{name.text}` has no type", span, help=f"say what it is: `{name.text}: int`"
                )
            else:
                result.append(tree.Parameter(span, name, kind, default))
        return tuple(reversed(result))

    def on_net(self, children: Children) -> tree.Net:
        parameters = children[2] if len(children) == 4 else ()
        return tree.Net(self.span(children), self.name_of(children[1]), parameters, children[-1])

    def on_block(self, children: Children) -> tree.Block:
        parameters = children[2] if len(children) == 4 else ()
        return tree.Block(self.span(children), self.name_of(children[1]), parameters, children[-1])

    def on_variant(self, children: Children) -> tree.Variant:
        return tree.Variant(self.span(children), self.name_of(children[1]), children[3])

    def on_constant(self, children: Children) -> tree.Constant:
        return tree.Constant(self.span(children), self.name_of(children[0]), children[2])

    def on_shape(self, children: Children) -> tree.ListExpr:
        return tree.ListExpr(self.span(children), children[1].items)

    def on_target(self, children: Children) -> tree.Target:
        word = self.name_of(children[0])
        if word.text != "target":
            self.found.error(
                Code.SYNTAX, f"expected `target` before `{children[1].text}:`", word.span, help="write `target`"
            )
        kind = self.name_of(children[3]) if isinstance(children[3], Token) else None
        shape = children[-1] if isinstance(children[-1], tree.ListExpr) else None
        return tree.Target(self.span(children), self.name_of(children[1]), kind, shape)

    def on_setting(self, children: Children) -> tree.Setting:
        return tree.Setting(self.span(children), self.name_of(children[0]), children[1].items)

    def on_train_call(self, children: Children) -> tree.TrainCall:
        call = self.on_call(children)
        return tree.TrainCall(call.span, call)

    def on_train(self, children: Children) -> tree.Train:
        items = _nodes(children)
        self._check_lines(items)
        return tree.Train(self.span(children), self.name_of(children[1]), items)

    def on_start(self, children: Children) -> tree.Program:
        declarations = _nodes(children)
        self._check_lines(declarations)
        return tree.Program(self.source.span(0, len(self.source.text)), self.source, declarations)


def _nodes(children: Children) -> tuple[Any, ...]:
    return tuple(child for child in children if not isinstance(child, Token))


def _as_names(items: Sequence[tree.Expr]) -> tuple[tree.Name, ...]:
    return tuple(item for item in items if isinstance(item, tree.Name))


def _is_word(token: Token) -> bool:
    return token.text[0].isalpha() or token.text[0] == "_"


def _one(exprs: tree.TupleExpr) -> tree.Expr:
    """The expression itself where only one was written, else the tuple."""
    return exprs.items[0] if len(exprs.items) == 1 else exprs


def _ungrouped(expr: tree.Expr) -> tree.Expr:
    return expr.inner if isinstance(expr, tree.Group) else expr


def _leading_word(node: tree.Syntax) -> str:
    text = node.span.text[:40]
    length = 0
    while length < len(text) and (text[length].isalnum() or text[length] == "_"):
        length += 1
    return text[:length]


def _unescape(text: str) -> str:
    pieces, position = [], 0
    while position < len(text):
        pair = text[position : position + 2]
        escaped = _ESCAPES.get(pair)
        pieces.append(escaped if escaped is not None else text[position])
        position += 2 if escaped is not None else 1
    return "".join(pieces)
