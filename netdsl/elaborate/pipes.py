"""Data flow: pipes, stages, calls, groups, repetition, ``as``."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.diagnostics import Code, suggest
from netdsl.elaborate import known
from netdsl.elaborate.blocks import make_block
from netdsl.elaborate.calls import BlockRef, Prepared, flatten_tensors, operands_of, prepare_block, prepare_op
from netdsl.elaborate.expressions import attempt, chosen_body
from netdsl.elaborate.layers import Place, make_op, place_at
from netdsl.elaborate.names import Numbering, Spot
from netdsl.elaborate.sized import plain
from netdsl.elaborate.state import Env, Run, expression, stage
from netdsl.elaborate.values import (
    UNKNOWN,
    Known,
    SharedLayer,
    Tensor,
    Unknown,
    describe,
    has_unknown,
    is_int,
)
from netdsl.ops import base as ops
from netdsl.source import Span
from netdsl.syntax import tree

# Names that other tools use, for a better guess than spelling alone.
_SYNONYMS = {
    "linear": "fc",
    "dense": "fc",
    "conv2d": "conv",
    "convolution": "conv",
    "batchnorm": "bn",
    "batch_norm": "bn",
    "batchnorm2d": "bn",
    "maxpool2d": "maxpool",
    "max_pool": "maxpool",
    "avgpool2d": "avgpool",
    "avg_pool": "avgpool",
    "global_avgpool": "avgpool",
    "adaptive_avgpool": "avgpool",
    "conv_transpose": "deconv",
    "convtranspose2d": "deconv",
    "deconvolution": "deconv",
    "cat": "concat",
    "concatenate": "concat",
    "sum": "add",
    "multiply": "mul",
    "view": "reshape",
    "resize": "upsample",
    "interpolate": "upsample",
    "leakyrelu": "leaky_relu",
    "logsoftmax": "log_softmax",
    "crossentropy": "cross_entropy",
}


# -- what a name behind `->` or before `(` means ---------------------------------------------------


def find_target(run: Run, env: Env, name: tree.Name) -> ops.OpDef | BlockRef | SharedLayer | None:
    """The shared layer, block or op of this name; reports when there is none."""
    binding = env.scope.find(name.text)
    if binding is not None and isinstance(binding.value, SharedLayer):
        run.usage.read.add(binding.span)
        return binding.value
    entry = env.frame.module.blocks.get(name.text)
    if entry is not None:
        return BlockRef(*entry)
    definition = _op(name.text)
    if definition is not None and not definition.internal:
        return definition
    if binding is not None:
        run.usage.read.add(binding.span)
        if not isinstance(binding.value, Unknown):
            run.error(Code.WRONG_TYPE, f"`{name.text}` is {describe(binding.value)}, not a layer or block", name.span)
        return None
    report_unknown_layer(run, env, name)
    return None


def _op(name: str) -> ops.OpDef | None:
    try:
        return ops.get(name)
    except KeyError:
        return None


def report_unknown_layer(run: Run, env: Env, name: tree.Name) -> None:
    """Say that ``name`` is neither an op nor a block, with the likeliest one meant."""
    known_names = [key for key, item in ops.all_ops().items() if not item.internal]
    known_names += env.frame.module.blocks
    known_names += [key for key in env.scope.names() if _is_shared(env, key)]
    near = _SYNONYMS.get(name.text.lower()) or suggest(name.text, known_names)
    help = f"did you mean `{near}`?" if near else None
    if name.text in known.FUNCTIONS or name.text in known.MEASURES:
        help = f"`{name.text}(...)` is a known value, not a layer"
    if name.text in env.frame.module.nets:
        help = "a net can't be used inside another one; make it a `block`"
    run.error(Code.UNKNOWN_OP, f"there is no op or block `{name.text}`", name.span, help=help)


def _is_shared(env: Env, name: str) -> bool:
    binding = env.scope.find(name)
    return binding is not None and isinstance(binding.value, SharedLayer)


# -- calls -----------------------------------------------------------------------------------------


@expression(tree.Call)
def _call(run: Run, env: Env, expr: tree.Call, spot: Spot) -> Known:
    env = env.within(spot.scope)
    name = expr.name.text
    is_known = name in known.FUNCTIONS or name in known.MEASURES
    if is_known and not _is_shared(env, name) and name not in env.frame.module.blocks:
        return _function(run, env, expr)
    return use(run, env, expr.name, expr.arguments, None, spot, expr.span)


def _function(run: Run, env: Env, expr: tree.Call) -> Known:
    """A function of known values, or a measure of a tensor."""
    name = expr.name.text
    values = [run.evaluate(env, argument.value) for argument in expr.arguments]
    named = [argument for argument in expr.arguments if argument.name is not None]
    if named:
        run.error(Code.UNKNOWN_ARGUMENT, f"`{name}` takes no named arguments", named[0].span)
        return UNKNOWN
    if any(map(has_unknown, values)):
        return UNKNOWN
    if name in known.MEASURES:
        return _measure(run, expr, values)
    fewest, most, function = known.FUNCTIONS[name]
    if not fewest <= len(values) <= most:
        count = str(fewest) if fewest == most else f"{fewest} to {most}" if most < 10 else f"at least {fewest}"
        run.error(Code.WRONG_COUNT, f"`{name}` takes {count} arguments, found {len(values)}", expr.span)
        return UNKNOWN
    return attempt(run, expr, lambda: function(*map(plain, values)))


def _measure(run: Run, expr: tree.Call, values: Sequence[Known]) -> Known:
    name = expr.name.text
    if len(values) != 1 or not isinstance(values[0], Tensor):
        found = describe(values[0]) if len(values) == 1 else f"{len(values)} arguments"
        run.error(Code.WRONG_TYPE, f"`{name}` takes one tensor, found {found}", expr.span)
        return UNKNOWN
    found = attempt(run, expr, lambda: known.MEASURES[name](values[0]))
    if run.probe is not None and found is not UNKNOWN:
        return run.probe.measured(values[0].value, list(known.MEASURES).index(name), found)
    return found


def use(
    run: Run,
    env: Env,
    name: tree.Name,
    arguments: Sequence[tree.Argument],
    given: Known,
    spot: Spot,
    span: Span,
) -> Known:
    """Apply the op, block or shared layer ``name`` to ``given`` (None: nothing is piped in)."""
    target = find_target(run, env, name)
    if target is None:
        for argument in arguments:
            if not isinstance(argument.value, tree.Name):
                run.evaluate(env, argument.value)
        return UNKNOWN
    if isinstance(target, SharedLayer):
        return _use_shared(run, env, target, arguments, given, spot, span)
    prepared = prepare(run, env, target, arguments, span)
    return apply_prepared(run, prepared, given, spot, span)


def prepare(
    run: Run, env: Env, target: ops.OpDef | BlockRef, arguments: Sequence[tree.Argument], span: Span
) -> Prepared:
    if isinstance(target, BlockRef):
        return prepare_block(run, env, target, arguments, span)
    return prepare_op(run, env, target, arguments, span)


def apply_prepared(run: Run, prepared: Prepared, given: Known, spot: Spot, span: Span) -> Known:
    if isinstance(prepared.target, BlockRef):
        given = _piped(run, prepared, given, span)
        return make_block(run, prepared, given, place_at(spot, prepared.name.lower()), span)
    place = place_at(spot, prepared.name)
    return _apply_op(run, prepared, given, place, span)


def _apply_op(run: Run, prepared: Prepared, given: Known, place: Place, span: Span) -> Known:
    if prepared.failed:
        return UNKNOWN
    operands = operands_of(run, prepared, given, span)
    if operands is None:
        return UNKNOWN
    assert isinstance(prepared.target, ops.OpDef)
    return make_op(run, prepared.target, operands, prepared.values, place, span)


def _piped(run: Run, prepared: Prepared, given: Known, span: Span) -> Known:
    """What ``in`` stands for in the block: what is piped in, or a leading tensor argument."""
    if not prepared.tensors:
        return given
    if given is not None:
        run.error(Code.TOO_MANY_ARGUMENTS, f"`{prepared.name}` takes fewer tensors", span)
        return UNKNOWN
    return prepared.tensors[0] if len(prepared.tensors) == 1 else tuple(prepared.tensors)


def _use_shared(
    run: Run,
    env: Env,
    layer: SharedLayer,
    arguments: Sequence[tree.Argument],
    given: Known,
    spot: Spot,
    span: Span,
) -> Known:
    """One more use of a shared layer. Its first use is named like the layer, later ones ``name@2``, ..."""
    values = [run.evaluate(env, argument.value) for argument in arguments]
    if any(map(has_unknown, values)) or has_unknown(given):
        return UNKNOWN
    for argument, value in zip(arguments, values, strict=True):
        if argument.name is not None or not flatten_tensors(value):
            run.error(
                Code.WRONG_TYPE,
                "a shared layer is used on tensors only",
                argument.span,
                help="its arguments stand where it is declared",
            )
            return UNKNOWN
    tensors = flatten_tensors(given) + [tensor for value in values for tensor in flatten_tensors(value)]
    layer.uses += 1
    own = layer.name if layer.uses == 1 else f"{layer.name}@{layer.uses}"
    name = spot.scope.prefix + spot.name if spot.name is not None else own
    place = Place(name, layer.weights, shared=True)
    piped: Known = None if not tensors else tensors[0] if len(tensors) == 1 else tuple(tensors)
    if isinstance(layer.prepared.target, BlockRef):
        return make_block(run, layer.prepared, piped, place, span)
    return _apply_op(run, layer.prepared, piped, place, span)


# -- pipes and stages ------------------------------------------------------------------------------


@expression(tree.Pipe)
def _pipe(run: Run, env: Env, expr: tree.Pipe, spot: Spot) -> Known:
    head, *stages = expr.stages
    value = run.evaluate(env, head, spot)
    if not has_unknown(value) and not flatten_tensors(value):
        run.error(Code.WRONG_TYPE, f"only tensors are piped, found {describe(value)}", head.span)
        value = UNKNOWN
    return _through(run, env, stages, value, spot)


def _through(run: Run, env: Env, stages: Sequence[tree.Expr], value: Known, spot: Spot) -> Known:
    for item in stages:
        value = run.apply(env, item, value, spot)
    return value


@expression(tree.Group)
def _group(run: Run, env: Env, expr: tree.Group, spot: Spot) -> Known:
    """A group that begins with a value, as in ``(in -> conv(8, 1x1) -> bn) as shortcut``."""
    if spot.name is None or not isinstance(expr.inner, tree.Pipe):
        return run.evaluate(env, expr.inner, spot)
    inner = _enter(run, spot, spot.name, expr.span)
    return run.evaluate(env.within(inner.scope), expr.inner, inner)


@expression(tree.Named)
def _named(run: Run, env: Env, expr: tree.Named, spot: Spot) -> Known:
    name = label_text(run, env, expr.label)
    return run.evaluate(env, expr.value, spot.named(name)) if name else UNKNOWN


def label_text(run: Run, env: Env, label: tree.Label) -> str | None:
    """``layer`` of ``as layer``, ``layer3`` of ``as layer[i]`` where i is 3."""
    if label.index is None:
        return label.text
    index = plain(run.evaluate(env, label.index))
    if isinstance(index, Unknown):
        return None
    if not is_int(index) or index < 0:
        run.error(Code.WRONG_TYPE, f"a name is numbered by a whole number, found {describe(index)}", label.index.span)
        return None
    return f"{label.text}{index}"


def _enter(run: Run, spot: Spot, name: str, span: Span) -> Spot:
    """The inside of a named group: what it makes is numbered from 0."""
    run.claim(spot.scope.prefix + name, span)
    return Spot(spot.scope.inside(name), None, Numbering())


@stage(tree.Name)
def _apply_name(run: Run, env: Env, expr: tree.Name, given: Known, spot: Spot) -> Known:
    return use(run, env.within(spot.scope), expr, (), given, spot, expr.span)


@stage(tree.Call)
def _apply_call(run: Run, env: Env, expr: tree.Call, given: Known, spot: Spot) -> Known:
    return use(run, env.within(spot.scope), expr.name, expr.arguments, given, spot, expr.span)


@stage(tree.Named)
def _apply_named(run: Run, env: Env, expr: tree.Named, given: Known, spot: Spot) -> Known:
    name = label_text(run, env, expr.label)
    return run.apply(env, expr.value, given, spot.named(name)) if name else UNKNOWN


@stage(tree.Group)
def _apply_group(run: Run, env: Env, expr: tree.Group, given: Known, spot: Spot) -> Known:
    inner = expr.inner
    if not isinstance(inner, tree.Pipe):
        return run.apply(env, inner, given, spot)
    if spot.name is not None:
        spot = _enter(run, spot, spot.name, expr.span)
    return _through(run, env, inner.stages, given, spot)


@stage(tree.Arithmetic)
def _apply_repetition(run: Run, env: Env, expr: tree.Arithmetic, given: Known, spot: Spot) -> Known:
    """``Block * n``: n instances in a row, each with weights of its own."""
    times = _times(run, env, expr)
    if times is None:
        return UNKNOWN
    if spot.name is not None:
        spot = _enter(run, spot, spot.name, expr.span)
    if times == 0:
        run.skip(env, expr.operands[0])
    for _ in range(times):
        given = run.apply(env, expr.operands[0], given, spot)
        if isinstance(given, Unknown):
            break
    return given


def _times(run: Run, env: Env, expr: tree.Arithmetic) -> int | None:
    if any(operator.text != "*" for operator in expr.operators):
        run.error(
            Code.WRONG_TYPE,
            "a layer can be repeated with `* n`, nothing else",
            expr.operators[0].span,
            help="write a count like `n - 1` and values like `(x -> relu) + 1` in brackets",
        )
        return None
    if isinstance(expr.operands[0], tree.Number):
        help = "the count stands behind the layer: `Block * 3`"
        run.error(Code.WRONG_TYPE, "a number is no layer", expr.operands[0].span, help=help)
        return None
    times = 1
    for operand in expr.operands[1:]:
        count = plain(run.evaluate(env, operand))
        if isinstance(count, Unknown):
            return None
        if not is_int(count) or count < 0:
            title = f"a layer is repeated a whole number of times, found {describe(count)}"
            run.error(Code.WRONG_TYPE, title, operand.span)
            return None
        times *= count
    return times


@stage(tree.Conditional)
def _apply_conditional(run: Run, env: Env, expr: tree.Conditional, given: Known, spot: Spot) -> Known:
    """``x -> if c { relu } else { tanh }``: the stage in the branch that is taken."""
    body = chosen_body(run, env, expr)
    if isinstance(body, Unknown):
        return UNKNOWN
    if body is None:
        return given
    if len(body.statements) != 1 or not isinstance(body.statements[0], tree.Evaluate):
        run.error(Code.SYNTAX, "a branch behind `->` holds one stage", body.span)
        return UNKNOWN
    return run.apply(env.inner(), body.statements[0].value, given, spot)
