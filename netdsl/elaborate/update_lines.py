"""The lines of a ``train`` block that say how gradients become new weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from functools import partial

from netdsl.diagnostics import Code, Label, UserError
from netdsl.elaborate.choices import choice_of, count_of
from netdsl.elaborate.sized import plain
from netdsl.elaborate.state import Env, Run
from netdsl.elaborate.values import describe, has_unknown, is_number
from netdsl.record import record
from netdsl.source import Span
from netdsl.syntax import tree
from netdsl.train import schema
from netdsl.updates import Group, UpdateRule, require_match, require_trained


@record(frozen=False, eq=False)
class RuleDraft:
    """An update rule in the making, and where its patterns stand."""

    groups: list[Group] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    clip_norm: float | None = None
    clip_value: float | None = None
    accumulate: int = 1
    average: float | None = None
    patterns: list[tuple[str, Span]] = field(default_factory=list)
    clips: dict[str, Span] = field(default_factory=dict)

    def finished(self, run: Run) -> UpdateRule:
        """The rule; a pattern that no parameter's name matches is an error, if nothing else was wrong before."""
        if not run.found.has_errors:
            for pattern, span in self.patterns:
                _located(run, span, partial(require_match, pattern, [node.name for node in run.graph.params]))
        rule = UpdateRule(
            tuple(self.groups), tuple(self.frozen), self.clip_norm, self.clip_value, self.accumulate, self.average
        )
        if self.frozen and not run.found.has_errors:
            last = [span for pattern, span in self.patterns if pattern in self.frozen][-1]
            _located(run, last, partial(require_trained, rule, run.graph))
        return rule


def params(run: Run, env: Env, rule: RuleDraft, call: tree.Call) -> None:
    """``params("layer1.*", lr = 0.1, decay = no)``."""
    choice = choice_of(run, env, "line", {"params": schema.PARAMS}, call)
    if choice is not None:
        pattern, rate, decay = (choice.arguments[name] for name in ("names", "lr", "decay"))
        if rate is None and decay is None:
            run.error(
                Code.TRAIN_SETTING,
                f"`params` says nothing of `{pattern}`",
                call.span,
                help="give a factor on the learning rate, `lr = 0.1`, or `decay = no`",
            )
        where = next(item for item in call.arguments if item.name is None or item.name.text == "names")
        rule.groups.append(Group(pattern, rate, decay))
        rule.patterns.append((pattern, where.span))


def freeze(run: Run, env: Env, rule: RuleDraft, expr: tree.Expr) -> None:
    """``freeze "layer1.*"``."""
    value = run.evaluate(env, expr)
    if has_unknown(value):
        return
    if not isinstance(value, str):
        run.error(
            Code.TRAIN_SETTING,
            f"`freeze` takes names of parameters, found {describe(value)}",
            expr.span,
            help='write `freeze "layer1.*"`',
        )
        return
    rule.frozen.append(value)
    rule.patterns.append((value, expr.span))


def clip(run: Run, env: Env, rule: RuleDraft, expr: tree.Expr) -> None:
    """``clip norm(1.0)``, ``clip value(0.5)``."""
    choice = choice_of(run, env, "way to clip", schema.CLIPS, expr)
    if choice is None:
        return
    if choice.name in rule.clips:
        said = [Label(rule.clips[choice.name], "said here")]
        run.error(Code.TRAIN_SETTING, f"`clip {choice.name}` is said twice", expr.span, secondary=said)
    rule.clips[choice.name] = expr.span
    if choice.name == "norm":
        rule.clip_norm = choice.arguments["limit"]
    else:
        rule.clip_value = choice.arguments["limit"]


def accumulate(run: Run, env: Env, rule: RuleDraft, expr: tree.Expr) -> None:
    """``accumulate 4``."""
    rule.accumulate = count_of(run, env, "accumulate", expr, schema.MAX_BATCH) or 1


def ema(run: Run, env: Env, rule: RuleDraft, expr: tree.Expr) -> None:
    """``ema 0.999``."""
    value = plain(run.evaluate(env, expr))
    if has_unknown(value):
        return
    if not is_number(value) or not 0 <= value < 1:
        run.error(
            Code.TRAIN_SETTING,
            f"`ema` is the part of the average that stays in a step, from 0 to below 1, found {describe(value)}",
            expr.span,
        )
        return
    rule.average = float(value)


def _located(run: Run, span: Span, check: Callable[[], None]) -> None:
    """What ``check`` finds, at ``span``."""
    try:
        check()
    except UserError as error:
        (found,) = error.diagnostics
        run.error(found.code, found.title, span, notes=found.notes, help=found.help)
