"""``train`` blocks: from text to a specification, with the loss in a graph of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from netdsl.diagnostics import Code, Label
from netdsl.elaborate import update_lines
from netdsl.elaborate.calls import prepare_op
from netdsl.elaborate.choices import Choice, Signature, choice_of, count_of, unknown
from netdsl.elaborate.names import NameScope
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.state import Env, Frame, Run
from netdsl.elaborate.values import UNKNOWN, Known, Tensor, describe, has_unknown, is_int
from netdsl.ir.graph import Graph, Node, Value
from netdsl.ir.types import DType, TensorType
from netdsl.ops.base import all_ops
from netdsl.record import record
from netdsl.source import Span
from netdsl.syntax import tree
from netdsl.train import schema, soft_targets
from netdsl.updates import UpdateRule


@record
class TargetSpec:
    """What the network learns. ``kind`` is "class" (numbers from 0, int32) or "values" (float32)."""

    name: str
    kind: str
    type: TensorType
    span: Span


@record
class Metric:
    """A named measure of ``operands``; where ``value`` is set, the graph computes it (a loss as a metric)."""

    name: str
    operands: tuple[Value, ...]
    arguments: dict[str, Any]
    value: Value | None
    span: Span


@record
class TrainSpec:
    """How a net is trained. ``graph`` is a copy of the net's with the targets as further inputs, the loss,
    and what metrics need; ``loss`` and the metrics' values belong to it. ``graph.outputs`` are the net's."""

    graph: Graph
    targets: dict[str, TargetSpec]
    loss: Value
    optimizer: Choice
    schedule: Choice
    augmentations: tuple[Choice, ...]
    batch: int
    epochs: int
    metrics: tuple[Metric, ...]
    rule: UpdateRule
    span: Span
    soft_targets: tuple[str, ...] = ()
    """Targets that are shares of classes in training, because its samples are mixed."""


@record(frozen=False)
class _Draft:
    """A specification in the making: what was said, and where."""

    targets: dict[str, TargetSpec] = field(default_factory=dict)
    loss: Value | None = None
    optimizer: Choice | None = None
    schedule: Choice | None = None
    augmentations: list[Choice] = field(default_factory=list)
    batch: int | None = None
    epochs: int | None = None
    metrics: list[Metric] = field(default_factory=list)
    rule: update_lines.RuleDraft = field(default_factory=update_lines.RuleDraft)
    said: dict[str, Span] = field(default_factory=dict)


def elaborate_train(run: Run, net_env: Env, train: tree.Train) -> TrainSpec | None:
    """The specification; None after errors. The graph of ``run`` is left as it was."""
    net_graph = run.graph
    run.graph, table = net_graph.copy()
    if run.probe is not None:
        run.probe.copied(table)
    scope = Scope(net_env.scope.parent)
    for name, binding in net_env.scope.bindings.items():
        scope.bindings[name] = Binding(_translated(binding.value, table), binding.span, binding.what)
    env = Env(Scope(scope), NameScope("loss.", "loss."), Frame("train", train.net.text, net_env.frame.module))
    draft = _Draft()
    for item in train.items:
        if isinstance(item, tree.Target):
            _target(run, env, draft, item)
    for item in train.items:
        _ITEMS[type(item)](run, env, draft, item)
    spec = _finished(run, draft, train)
    run.graph = net_graph
    return spec


def _translated(value: Known, table: dict[Value, Value]) -> Known:
    """A binding of the net with its tensors replaced by those of the copy."""
    if isinstance(value, Tensor):
        return Tensor(table[value.value], value.span)
    if type(value) in (list, tuple):
        return type(value)(_translated(item, table) for item in value)
    return value


def _finished(run: Run, draft: _Draft, train: tree.Train) -> TrainSpec | None:
    needed = {
        "loss": "`loss cross_entropy(logits, label)`",
        "optimizer": "`sgd(lr = 0.1, momentum = 0.9)`",
        "batch": "`batch 64`",
        "epochs": "`epochs 10`",
    }
    missing = [what for what in needed if what not in draft.said]
    if missing:
        run.error(
            Code.TRAIN_SETTING,
            f"`train {train.net.text}` says no {', no '.join(missing)}",
            train.net.span,
            help="\n".join(f"add {needed[what]}" for what in missing),
        )
    if draft.loss is None or draft.optimizer is None or draft.batch is None or draft.epochs is None:
        return None
    constant = Choice("constant", {arg.name: arg.default for arg in schema.SCHEDULES["constant"]}, train.net.span)
    return TrainSpec(
        run.graph,
        draft.targets,
        draft.loss,
        draft.optimizer,
        draft.schedule or constant,
        tuple(draft.augmentations),
        draft.batch,
        draft.epochs,
        tuple(draft.metrics),
        draft.rule.finished(run),
        train.span,
        _soft_targets(run, draft, draft.loss),
    )


def _soft_targets(run: Run, draft: _Draft, loss: Value) -> tuple[str, ...]:
    """The class targets of a loss on mixed samples; errors for what cannot be mixed."""
    mixups = [choice for choice in draft.augmentations if choice.name == soft_targets.MIXUP]
    if not mixups:
        return ()
    mixup, *more = mixups
    for other in more:
        first = [Label(mixup.span, "mixed here")]
        run.error(Code.TRAIN_SETTING, "samples are mixed once", other.span, secondary=first)
    found = []
    for target in draft.targets.values():
        readers = soft_targets.readers(run.graph, loss, run.graph.node(target.name).output)
        refused = [node for node, operand in readers if soft_targets.shares_type(node, operand) is None]
        if refused:
            _unmixed(run, refused[0], target, mixup)
        elif readers:
            found.append(target.name)
    return tuple(found)


def _unmixed(run: Run, reader: Node, target: TargetSpec, mixup: Choice) -> None:
    """The error for a loss that cannot take what a target becomes."""
    if target.kind == "class":
        title = f"`{reader.op}` takes class numbers here, and `mixup` makes shares of two classes of them"
        help = "`cross_entropy` without `ignore` takes them, or train without `mixup`"
    else:
        title = f"`mixup` mixes classes; `{target.name}` is {target.type}"
        help = "train without `mixup`"
    labels = [Label(mixup.span, "mixed here"), Label(target.span, "what is mixed")]
    span = min(reader.spans, key=lambda span: span.start, default=mixup.span)
    run.error(Code.TRAIN_SETTING, title, span, secondary=labels, help=help)


def _once(run: Run, draft: _Draft, what: str, span: Span) -> None:
    first = draft.said.setdefault(what, span)
    if first is not span:
        run.error(Code.TRAIN_SETTING, f"{what} is said twice", span, secondary=[Label(first, "said here")])


# -- targets ---------------------------------------------------------------------------------------


def _target(run: Run, env: Env, draft: _Draft, item: tree.Target) -> None:
    kind = item.kind.text if item.kind else "values"
    if kind not in ("class", "values") or (kind == "values" and item.shape is None):
        run.error(Code.UNKNOWN_VALUE, "a target is `class`, `class [H, W]` or a shape such as [2, H, W]", item.span)
        run.bind(env, item.name, UNKNOWN, "target")
        return
    shape = _shape(run, env, item.shape)
    tensor: Known = UNKNOWN
    if shape is not None and run.claim(item.name.text, item.name.span):
        type = TensorType(shape, True, DType.I32 if kind == "class" else DType.F32)
        node = Node("input", item.name.text, [], {}, (type,), frozenset((item.span,)))
        tensor = Tensor(run.add(node, item.span).output, item.name.span)
        if run.probe is not None:
            run.probe.source(node.output, item.shape.items if item.shape is not None else ())
        draft.targets[item.name.text] = TargetSpec(item.name.text, kind, type, item.span)
    run.bind(env, item.name, tensor, "target")


def _shape(run: Run, env: Env, expr: tree.ListExpr | None) -> tuple[int, ...] | None:
    if expr is None:
        return ()
    values = [run.evaluate(env, item) for item in expr.items]
    if run.probe is not None:
        values = [run.probe.calculated(item.span, value) for item, value in zip(expr.items, values, strict=True)]
    if any(map(has_unknown, values)):
        return None
    for value, item in zip(values, expr.items, strict=True):
        if not is_int(value) or value < 1:
            run.error(Code.WRONG_TYPE, f"an axis is a whole number of at least 1, found {describe(value)}", item.span)
            return None
    return tuple(values)


# -- lines -----------------------------------------------------------------------------------------


def _setting(run: Run, env: Env, draft: _Draft, item: tree.Setting) -> None:
    handler = _SETTINGS.get(item.name.text)
    if handler is None:
        _unknown_line(run, item.name)
        return
    if item.name.text in _ONE_VALUE:
        _once(run, draft, item.name.text, item.name.span)
        if len(item.values) != 1:
            run.error(Code.TRAIN_SETTING, f"`{item.name.text}` takes one value", item.span)
            return
    for value in item.values:
        handler(run, env, draft, value)


def _unknown_line(run: Run, name: tree.Name) -> None:
    unknown(run, f"`{name.text}` is no training setting", name, (*schema.SETTINGS, *schema.CALLS))


def _constant(run: Run, env: Env, draft: _Draft, item: tree.Constant) -> None:
    """``name = value`` for use in the lines below; a setting has no ``=``."""
    if item.name.text in (*schema.SETTINGS, *schema.CALLS):
        run.error(
            Code.TRAIN_SETTING,
            f"a setting is written without `=`: `{item.name.text} {item.value.span.text}`",
            item.span,
        )
        draft.said.setdefault(item.name.text, item.span)
        return
    run.bind(env, item.name, run.evaluate(env, item.value))


def _call(run: Run, env: Env, draft: _Draft, item: tree.TrainCall) -> None:
    name = item.call.name
    if name.text in _SETTINGS:
        run.error(
            Code.TRAIN_SETTING,
            f"`{name.text}` is written without brackets",
            item.span,
            help=f"write `{name.text} {', '.join(argument.span.text for argument in item.call.arguments)}`",
        )
        draft.said.setdefault(name.text, item.span)
    elif name.text not in schema.CALLS:
        _unknown_line(run, name)
    elif name.text == "params":
        update_lines.params(run, env, draft.rule, item.call)
    else:
        _once(run, draft, "optimizer", item.span)
        draft.optimizer = choice_of(run, env, "optimizer", schema.OPTIMIZERS, item.call)


def _loss(run: Run, env: Env, draft: _Draft, expr: tree.Expr) -> None:
    draft.loss = _scalar(run, env, "loss", expr)


def _scalar(run: Run, env: Env, what: str, expr: tree.Expr) -> Value | None:
    """One number for the whole batch."""
    value = run.evaluate(env, expr)
    if has_unknown(value):
        return None
    if isinstance(value, Tensor) and value.type == TensorType((), False):
        return value.value
    help = "use a loss such as `cross_entropy`, `bce` or `mse`" if isinstance(value, Tensor) else None
    run.error(Code.TRAIN_SETTING, f"a {what} is one number, found {describe(value)}", expr.span, help=help)
    return None


def _schedule(run: Run, env: Env, draft: _Draft, expr: tree.Expr) -> None:
    draft.schedule = choice_of(run, env, "schedule", schema.SCHEDULES, expr)


def _augment(run: Run, env: Env, draft: _Draft, expr: tree.Expr) -> None:
    choice = choice_of(run, env, "augmentation", schema.AUGMENTATIONS, expr)
    if choice is not None:
        draft.augmentations.append(choice)


def _batch(run: Run, env: Env, draft: _Draft, expr: tree.Expr) -> None:
    draft.batch = count_of(run, env, "batch", expr, schema.MAX_BATCH)


def _epochs(run: Run, env: Env, draft: _Draft, expr: tree.Expr) -> None:
    draft.epochs = count_of(run, env, "epochs", expr, schema.MAX_EPOCHS)


# -- metrics ---------------------------------------------------------------------------------------


def _metric(run: Run, env: Env, draft: _Draft, expr: tree.Expr) -> None:
    if not isinstance(expr, tree.Call):
        run.error(Code.TRAIN_SETTING, "a metric is written `top1(logits, label)`", expr.span)
        return
    known = schema.METRICS.get(expr.name.text)
    metric = _computed_metric(run, env, expr) if known is None else _counted_metric(run, env, expr, known)
    if metric is not None:
        draft.metrics.append(metric)


def _computed_metric(run: Run, env: Env, expr: tree.Call) -> Metric | None:
    """A loss used as a metric."""
    if expr.name.text not in all_ops():
        title = f"there is no metric `{expr.name.text}`"
        unknown(run, title, expr.name, schema.METRICS, ", and every loss", also=("cross_entropy", "bce", "mse"))
        return None
    value = _scalar(run, env, "metric", expr)
    return None if value is None else Metric(expr.name.text, (), {}, value, expr.span)


def _counted_metric(run: Run, env: Env, expr: tree.Call, known: schema.MetricSchema) -> Metric | None:
    name = expr.name.text
    prepared = prepare_op(run, env, Signature(name, known.args, known.operands), expr.arguments, expr.span)
    if prepared.failed:
        return None
    tensors = prepared.tensors + [
        prepared.named_tensors[role] for role in known.operands if role in prepared.named_tensors
    ]
    if len(tensors) != len(known.operands):
        listed = ", ".join(known.operands)
        run.error(Code.WRONG_COUNT, f"`{name}` measures {listed}, found {len(tensors)} tensors", expr.span)
        return None
    if not _fits_labels(run, name, tensors, expr.span):
        return None
    return Metric(name, tuple(tensor.value for tensor in tensors), prepared.values, None, expr.span)


def _fits_labels(run: Run, name: str, tensors: Sequence[Tensor], span: Span) -> bool:
    """Scores of shape [C, ...] and one class number for each position."""
    scores, label = tensors
    positions = tuple(size for size in scores.type.shape[1:] if size != 1 or label.type.shape)
    if label.type.dtype is DType.I32 and label.type.shape == positions and scores.type.shape:
        return True
    run.error(
        Code.SHAPE_MISMATCH,
        f"`{name}` compares scores [C, ...] with one class number for each position",
        span,
        secondary=[Label(tensor.span, f"this is {tensor.type}") for tensor in tensors],
    )
    return False


def _of_rule(
    line: Callable[[Run, Env, update_lines.RuleDraft, tree.Expr], None],
) -> Callable[[Run, Env, _Draft, tree.Expr], None]:
    """The handler of a line that is about the update rule only."""
    return lambda run, env, draft, expr: line(run, env, draft.rule, expr)


_ONE_VALUE = ("loss", "schedule", "batch", "epochs", "accumulate", "ema")

_SETTINGS: dict[str, Callable[[Run, Env, _Draft, tree.Expr], None]] = {
    "loss": _loss,
    "schedule": _schedule,
    "augment": _augment,
    "batch": _batch,
    "epochs": _epochs,
    "metric": _metric,
    "clip": _of_rule(update_lines.clip),
    "accumulate": _of_rule(update_lines.accumulate),
    "ema": _of_rule(update_lines.ema),
    "freeze": _of_rule(update_lines.freeze),
}

_ITEMS: dict[type[tree.Declaration], Callable[[Run, Env, _Draft, Any], None]] = {
    tree.Target: lambda run, env, draft, item: None,
    tree.Setting: _setting,
    tree.Constant: _constant,
    tree.TrainCall: _call,
}
