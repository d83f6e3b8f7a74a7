"""Expressions without layers in them: names, constants, lists, arithmetic, conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.diagnostics import Code, Label, did_you_mean
from netdsl.elaborate import known
from netdsl.elaborate.layers import tensor_arithmetic
from netdsl.elaborate.names import Spot
from netdsl.elaborate.state import Env, Run, expression
from netdsl.elaborate.values import (
    UNKNOWN,
    Known,
    Size,
    Tensor,
    Unknown,
    describe,
    has_unknown,
)
from netdsl.ops import base as ops
from netdsl.syntax import tree


@expression(tree.Number)
@expression(tree.String)
@expression(tree.Flag)
def _constant(run: Run, env: Env, expr: Any, spot: Spot) -> Known:
    return expr.value


@expression(tree.Dims)
def _dims(run: Run, env: Env, expr: tree.Dims, spot: Spot) -> Known:
    return Size(expr.sizes)


@expression(tree.ListExpr)
def _list(run: Run, env: Env, expr: tree.ListExpr, spot: Spot) -> Known:
    return [run.evaluate(env, item) for item in expr.items]


@expression(tree.TupleExpr)
def _tuple(run: Run, env: Env, expr: tree.TupleExpr, spot: Spot) -> Known:
    return tuple(run.evaluate(env, item) for item in expr.items)


@expression(tree.Name)
def _name(run: Run, env: Env, expr: tree.Name, spot: Spot) -> Known:
    if expr.text == "in":
        return _given(run, env, expr)
    binding = env.scope.find(expr.text)
    if binding is None:
        unknown_name(run, env, expr)
        return UNKNOWN
    run.usage.read.add(binding.span)
    if run.probe is not None and binding.what in ("size", "argument") and env.frame.what != "block":
        return run.probe.named(expr.text, binding.value)
    return binding.value


def _given(run: Run, env: Env, expr: tree.Name) -> Known:
    frame = env.frame
    if frame.what != "block":
        run.error(Code.MISPLACED, "`in` is what is piped into a block; there is no block here", expr.span)
        return UNKNOWN
    if frame.given is None:
        _, use = run.trail[-1]
        run.found.error(
            Code.MISSING_IN,
            f"nothing is piped into `{frame.name}`",
            use,
            secondary=[Label(expr.span, "which is used here")],
            help=f"write `value -> {frame.name}`",
        )
        frame.given = UNKNOWN
    return frame.given


def unknown_name(run: Run, env: Env, expr: tree.Name) -> None:
    """Report a name without a value, with the likeliest reason."""
    name = expr.text
    secondary: list[Label] = []
    help = None
    if name in env.frame.locals:
        secondary = [Label(env.frame.locals[name], "bound only inside these braces")]
        help = f"bind `{name}` before, or take the value of the whole `if`: `{name} = if ... {{ ... }} else {{ ... }}`"
    elif name in ops.all_ops() or name in env.frame.module.blocks:
        help = f"`{name}` is a layer: pipe a value into it, `value -> {name}`"
    elif name in _CONSTANTS_ELSEWHERE:
        help = f"write `{_CONSTANTS_ELSEWHERE[name]}`"
    else:
        help = did_you_mean(name, env.scope.names())
    run.error(Code.UNKNOWN_NAME, f"`{name}` is not defined", expr.span, secondary=secondary, help=help)


_CONSTANTS_ELSEWHERE = {"True": "yes", "true": "yes", "False": "no", "false": "no", "x": "in", "input": "in"}


def attempt(run: Run, span: tree.Syntax, action: Callable[[], Known]) -> Known:
    """The result of ``action``; a failure is reported at ``span``."""
    try:
        return action()
    except known.Failure as failure:
        run.error(failure.code, failure.title, span.span, help=failure.help)
        return UNKNOWN


@expression(tree.Arithmetic)
def _arithmetic(run: Run, env: Env, expr: tree.Arithmetic, spot: Spot) -> Known:
    first, *rest = expr.operands
    result = run.evaluate(env, first)
    reached = first.span
    for operator, operand in zip(expr.operators, rest, strict=True):
        right = run.evaluate(env, operand)
        reached = reached.to(operand.span)
        if has_unknown(result) or has_unknown(right):
            result = UNKNOWN
        elif isinstance(result, Tensor) or isinstance(right, Tensor):
            result = tensor_arithmetic(run, env, operator, result, right, reached)
        else:
            result = _known_arithmetic(run, operator, result, right)
    return result


def _known_arithmetic(run: Run, operator: tree.Operator, left: Known, right: Known) -> Known:
    return attempt(run, operator, lambda: known.arithmetic(operator.text, left, right))


@expression(tree.Negate)
def _negate(run: Run, env: Env, expr: tree.Negate, spot: Spot) -> Known:
    value = run.evaluate(env, expr.operand)
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Tensor):
        return tensor_arithmetic(run, env, tree.Operator(expr.span, "*"), -1, value, expr.span)
    return attempt(run, expr, lambda: known.negate(value))


@expression(tree.Comparison)
def _comparison(run: Run, env: Env, expr: tree.Comparison, spot: Spot) -> Known:
    left, right = run.evaluate(env, expr.left), run.evaluate(env, expr.right)
    if has_unknown(left) or has_unknown(right):
        return UNKNOWN
    return attempt(run, expr, lambda: known.compare(expr.operator.text, left, right))


@expression(tree.Not)
def _not(run: Run, env: Env, expr: tree.Not, spot: Spot) -> Known:
    value = condition(run, env, expr.operand, "`not`")
    return value if isinstance(value, Unknown) else not value


@expression(tree.Logic)
def _logic(run: Run, env: Env, expr: tree.Logic, spot: Spot) -> Known:
    """Stops at the first operand that decides, as in ``len(a) > 0 and a[0] == 1``."""
    decisive = expr.operator == "or"
    for number, operand in enumerate(expr.operands):
        value = condition(run, env, operand, f"`{expr.operator}`")
        if isinstance(value, Unknown) or value is decisive:
            run.skip(env, *expr.operands[number + 1 :])
            return value
    return not decisive


def condition(run: Run, env: Env, expr: tree.Expr, where: str) -> bool | Unknown:
    """A known yes or no."""
    value = run.evaluate(env, expr)
    if isinstance(value, bool | Unknown):
        return value
    code = Code.NOT_CONSTANT if isinstance(value, Tensor) else Code.WRONG_TYPE
    help = "compare it, as in `n > 0`" if isinstance(value, int) else None
    run.error(code, f"{where} needs yes or no, found {describe(value)}", expr.span, help=help)
    return UNKNOWN


@expression(tree.Index)
def _index(run: Run, env: Env, expr: tree.Index, spot: Spot) -> Known:
    value = run.evaluate(env, expr.base)
    for index in expr.indices:
        at = run.evaluate(env, index)
        if isinstance(value, Unknown) or isinstance(at, Unknown):
            return UNKNOWN
        value = attempt(run, index, lambda base=value, i=at: known.element(base, i))  # type: ignore[misc]
    return value


@expression(tree.Conditional)
def _conditional(run: Run, env: Env, expr: tree.Conditional, spot: Spot) -> Known:
    body = chosen_body(run, env, expr)
    if isinstance(body, Unknown):
        return UNKNOWN
    if body is None:
        run.error(Code.SYNTAX, "an `if` that gives a value needs an `else`", expr.span)
        return UNKNOWN
    return body_value(run, env, body, spot)


def chosen_body(run: Run, env: Env, expr: tree.Conditional) -> tree.Body | Unknown | None:
    """The branch whose condition holds; None where none does and there is no ``else``."""
    for number, (test, body) in enumerate(zip(expr.conditions, expr.bodies, strict=True)):
        value = condition(run, env, test, "`if`")
        if isinstance(value, Unknown):
            return UNKNOWN
        if value:
            run.skip(env, *expr.conditions[number + 1 :], *expr.bodies[number + 1 :], expr.otherwise)
            return body
        run.skip(env, body)
    return expr.otherwise


def body_value(run: Run, env: Env, body: tree.Body, spot: Spot) -> Known:
    """The value of the expression that a branch ends with."""
    env = env.inner()
    last = body.statements[-1] if body.statements else None
    if not isinstance(last, tree.Evaluate):
        run.error(Code.SYNTAX, "this branch has no value", body.span, help="end it with an expression, as in `{ in }`")
        return UNKNOWN
    for item in body.statements[:-1]:
        run.execute(env, item)
    return run.evaluate(env, last.value, spot)
