"""What the lines of a ``train`` block have in common: names with arguments, and counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netdsl.diagnostics import Code, suggest
from netdsl.elaborate.calls import prepare_op
from netdsl.elaborate.sized import plain
from netdsl.elaborate.state import Env, Run
from netdsl.elaborate.values import Unknown, describe, is_int
from netdsl.ops.base import Arg
from netdsl.record import record
from netdsl.source import Span
from netdsl.syntax import tree
from netdsl.train import schema


@record
class Choice:
    """A name with its arguments, canonical and complete: ``cosine(warmup = 1)``."""

    name: str
    arguments: dict[str, Any]
    span: Span


@record
class Signature:
    """What the arguments of a name in a ``train`` block are matched with."""

    name: str
    args: tuple[Arg, ...]
    operands: tuple[str, ...] = ()


def choice_of(run: Run, env: Env, what: str, options: schema.Schema, expr: tree.Expr) -> Choice | None:
    """A name of ``options``, with or without arguments; None after an error."""
    name = expr.name if isinstance(expr, tree.Call) else expr
    if not isinstance(name, tree.Name):
        run.error(Code.TRAIN_SETTING, f"expected the name of a {what}", expr.span)
        return None
    if name.text not in options:
        unknown(run, f"there is no {what} `{name.text}`", name, options)
        return None
    arguments = expr.arguments if isinstance(expr, tree.Call) else ()
    prepared = prepare_op(run, env, Signature(name.text, options[name.text]), arguments, expr.span)
    if prepared.tensors:
        run.error(Code.WRONG_TYPE, f"`{name.text}` takes no tensors", expr.span)
        return None
    return None if prepared.failed else Choice(name.text, prepared.values, expr.span)


def unknown(
    run: Run, title: str, name: tree.Name, words: Iterable[str], more: str = "", also: Iterable[str] = ()
) -> None:
    """The error for a word that is none of ``words``: the nearest one, or all and what else there is, ``more``.

    ``also`` are words that may be the nearest but would make the list too long.
    """
    words = list(words)
    near = suggest(name.text, [*words, *also])
    listed = ", ".join(f"`{word}`" for word in words)
    run.error(
        Code.TRAIN_SETTING,
        title,
        name.span,
        notes=() if near else [f"there are {listed}{more}"],
        help=f"did you mean `{near}`?" if near else None,
    )


def count_of(run: Run, env: Env, what: str, expr: tree.Expr, most: int) -> int | None:
    """A whole number from 1 on; None after an error."""
    value = plain(run.evaluate(env, expr))
    if isinstance(value, Unknown):
        return None
    if not is_int(value) or not 1 <= value <= most:
        run.error(
            Code.TRAIN_SETTING, f"`{what}` is a whole number from 1 to {most:,}, found {describe(value)}", expr.span
        )
        return None
    return int(value)
