"""Everything to warn of in a network that was built."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.analysis.lints import lint
from netdsl.analysis.receptive import receptive_fields
from netdsl.diagnostics import Code, Diagnostic
from netdsl.elaborate import Model
from netdsl.ir.graph import Value
from netdsl.syntax.allowed import without_allowed


def warnings_of(model: Model, batch: int | None = None) -> tuple[Diagnostic, ...]:
    """The warnings of elaboration, of receptive fields, and the lints, without those that a comment allows.

    ``batch`` is the training batch that batch normalization is judged at; None is that of the ``train`` block.
    """
    receptive = receptive_fields(model.graph)
    train = model.train
    loss_values = (train.loss, *train.graph.outputs.values(), *_measured(model)) if train else ()
    samples = batch if batch is not None else train.batch if train else None
    lints = lint(model.graph, receptive.fields, train.graph if train else None, loss_values, samples)
    if any(item.code is Code.UNUSED_VALUE for item in model.warnings):
        lints = tuple(item for item in lints if item.code is not Code.DEAD_LAYER)  # the unused name says it already
    return without_allowed((*model.warnings, *receptive.warnings, *lints))


def at_all_sizes(findings: Sequence[tuple[Diagnostic, ...]]) -> tuple[Diagnostic, ...]:
    """Of the warnings of one network at several sizes, those that it has at all of them, as at the first."""
    first, *others = findings
    kept = [{(item.code, item.primary) for item in other} for other in others]
    return tuple(item for item in first if all((item.code, item.primary) in keys for keys in kept))


def _measured(model: Model) -> list[Value]:
    if model.train is None:
        return []
    values = [value for metric in model.train.metrics for value in (*metric.operands, metric.value)]
    return [value for value in values if value is not None]
