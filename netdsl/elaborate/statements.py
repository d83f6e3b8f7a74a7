"""Statements: what binds names, makes inputs and outputs, loops and returns."""

from __future__ import annotations

from itertools import pairwise

from netdsl.diagnostics import Code, Label
from netdsl.elaborate import limits
from netdsl.elaborate.expressions import chosen_body
from netdsl.elaborate.pipes import find_target, prepare
from netdsl.elaborate.scope import Binding
from netdsl.elaborate.state import Env, Run, statement
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
from netdsl.ir.graph import Node
from netdsl.ir.types import TensorType
from netdsl.syntax import tree


def net_only(run: Run, env: Env, item: tree.Statement, word: str) -> bool:
    """Report a statement that belongs directly into a net."""
    if env.frame.what == "net" and not env.scope.inner:
        return True
    where = "inside `for` or `if`" if env.frame.what == "net" else "in a block"
    help = None if env.frame.what == "net" else "a block takes `in` and gives `return`"
    run.error(Code.MISPLACED, f"`{word}` can't stand {where}", item.span, help=help)
    return False


# -- inputs and outputs ----------------------------------------------------------------------------


@statement(tree.Input)
def _input(run: Run, env: Env, item: tree.Input) -> None:
    allowed = net_only(run, env, item, "input")
    shape = _input_shape(run, env, item.shape) if allowed else None
    for name in item.names:
        tensor: Known = UNKNOWN
        if not run.claim(name.text, name.span):
            continue
        if shape is not None:
            node = Node("input", name.text, [], {}, (TensorType(shape),), frozenset((item.span,)))
            tensor = Tensor(run.add(node, item.span).output, name.span)
            if run.probe is not None and isinstance(item.shape, tree.ListExpr):
                run.probe.source(node.output, item.shape.items)
        run.bind(env, name, tensor, "input")


def _input_shape(run: Run, env: Env, expr: tree.Expr) -> tuple[int, ...] | None:
    if not isinstance(expr, tree.ListExpr):
        run.error(Code.WRONG_TYPE, "a shape is written [C, H, W] or [F]", expr.span)
        return None
    if len(expr.items) > limits.MAX_AXES:
        title = f"a tensor may have at most {limits.MAX_AXES} axes, these are {len(expr.items)}"
        run.error(Code.LIMIT_SIZE, title, expr.span)
        return None
    axes = [_axis(run, env, axis, number, len(expr.items)) for number, axis in enumerate(expr.items)]
    if any(axis is None for axis in axes):
        return None
    shape = tuple(axis for axis in axes if axis is not None)
    if TensorType(shape).elements > limits.MAX_ELEMENTS:
        run.error(Code.LIMIT_SIZE, f"a tensor may have at most {limits.MAX_ELEMENTS:,} elements", expr.span)
        return None
    return shape


def _axis(run: Run, env: Env, expr: tree.Expr, number: int, rank: int) -> int | None:
    """One axis of an input: a known whole number, or a symbolic size bound from outside."""
    spatial = rank == 3 and number > 0
    if isinstance(expr, tree.Name) and env.scope.find(expr.text) is None and expr.text != "in":
        return _symbol(run, env, expr, number if spatial else None)
    value = _probed_axis(run, env, expr, number) if spatial else None
    if value is None:
        value = run.evaluate(env, expr)
    if run.probe is not None:
        value = run.probe.calculated(expr.span, value)
    if isinstance(value, Unknown):
        return None
    if not is_int(value) or value < 1:
        run.error(Code.WRONG_TYPE, f"an axis is a whole number of at least 1, found {describe(value)}", expr.span)
        return None
    return int(value)


def _probed_axis(run: Run, env: Env, expr: tree.Expr, number: int) -> int | None:
    """A height or width that other sizes may be asked about: a name with a value, or a number. None for all else."""
    if run.probe is None:
        return None
    if isinstance(expr, tree.Number) and is_int(expr.value) and expr.value >= 1:
        return run.probe.written(expr.span, number, int(expr.value))
    binding = env.scope.find(expr.text) if isinstance(expr, tree.Name) else None
    if binding is None or binding.what not in ("size", "argument") or not is_int(binding.value) or binding.value < 1:
        return None
    run.usage.read.add(binding.span)
    assert isinstance(expr, tree.Name)
    return run.probe.bound(expr.text, expr.span, number, binding.value)


def _symbol(run: Run, env: Env, name: tree.Name, number: int | None) -> int | None:
    """The size of an unbound name; ``number`` is its axis where that is a height (1) or width (2)."""
    if run.probe is not None and number is not None:
        given = run.sizes.get(name.text)
        run.sizes[name.text] = run.probe.unbound(name, number, given)
    value = run.sizes.get(name.text)
    if value is None:
        help = "give it with `--size HxW`, for example `--size 224x224`"
        if number is None:
            help = f"make it an argument of the net: `{name.text}: int`"
        run.error(Code.UNBOUND_SIZE, f"the size `{name.text}` is not known", name.span, help=help)
    elif not is_int(value) or value < 1:
        run.error(Code.BAD_OPTION, f"a size is a whole number of at least 1, found {describe(value)}", name.span)
        value = None
    binding = Binding(UNKNOWN if value is None else value, name.span, "size")
    env.scope.bindings[name.text] = binding
    return value


@statement(tree.Output)
def _output(run: Run, env: Env, item: tree.Output) -> None:
    allowed = net_only(run, env, item, "output")
    for output in item.items:
        value = run.evaluate(env, output.value if output.value is not None else output.name)
        bound = output.value is None or run.bind(env, output.name, value, "output")
        if allowed and bound:
            _enter_output(run, output, value)


def _enter_output(run: Run, output: tree.OutputItem, value: Known) -> None:
    name = output.name.text
    run.output_spans.setdefault(name, output.name.span)
    if run.output_spans[name] is not output.name.span:
        first = Label(run.output_spans[name], "first here")
        run.error(Code.DUPLICATE_NAME, f"there are two outputs `{name}`", output.name.span, secondary=[first])
    elif isinstance(value, Tensor):
        run.graph.outputs[name] = value.value
    elif not has_unknown(value):
        run.error(Code.WRONG_TYPE, f"an output is a tensor, found {describe(value)}", output.span)


# -- bindings --------------------------------------------------------------------------------------


@statement(tree.Assign)
def _assign(run: Run, env: Env, item: tree.Assign) -> None:
    value = run.evaluate(env, item.value)
    for name, part in zip(item.targets, _unpacked(run, item.targets, value, item.value), strict=True):
        run.bind(env, name, part)


def _unpacked(run: Run, names: tuple[tree.Name, ...], value: Known, expr: tree.Expr) -> list[Known]:
    """As many values as there are names."""
    if len(names) == 1:
        return [value]
    if isinstance(value, Unknown):
        return [UNKNOWN] * len(names)
    if isinstance(value, list | tuple) and len(value) == len(names):
        return list(value)
    count = len(value) if isinstance(value, list | tuple) else 1
    run.error(
        Code.WRONG_COUNT,
        f"{len(names)} names for {count} value" + ("" if count == 1 else "s"),
        names[0].span.to(names[-1].span),
        secondary=[Label(expr.span, f"this is {describe(value)}" if count == 1 else f"these are {count} values")],
    )
    return [UNKNOWN] * len(names)


@statement(tree.Layer)
def _layer(run: Run, env: Env, item: tree.Layer) -> None:
    run.bind(env, item.name, _shared_layer(run, env, item), "layer")


def _shared_layer(run: Run, env: Env, item: tree.Layer) -> Known:
    value = item.value
    name, arguments = (value.name, value.arguments) if isinstance(value, tree.Call) else (value, ())
    if not isinstance(name, tree.Name):
        run.error(
            Code.WRONG_TYPE,
            "a shared layer is one op or block",
            value.span,
            help="several in a row make a `block`; share an instance of that",
        )
        return UNKNOWN
    target = find_target(run, env, name)
    if target is None:
        return UNKNOWN
    if isinstance(target, SharedLayer):
        run.error(Code.WRONG_TYPE, f"`{name.text}` is a shared layer already; use it as it is", value.span)
        return UNKNOWN
    prepared = prepare(run, env, target, arguments, value.span)
    if prepared.tensors or prepared.named_tensors:
        run.error(
            Code.MISPLACED,
            "tensors are piped into a shared layer where it is used",
            value.span,
            help=f"write `value -> {item.name.text}` below",
        )
        return UNKNOWN
    own = item.name.text
    return SharedLayer(env.names.prefix + own, env.names.weights + own, item.span, prepared)


@statement(tree.Return)
def _return(run: Run, env: Env, item: tree.Return) -> None:
    frame = env.frame
    if frame.what != "block":
        run.error(Code.MISPLACED, "only blocks `return`", item.span, help="a net says `output name = value`")
        return
    value = run.evaluate(env, item.value)
    if not has_unknown(value) and not _returnable(value):
        run.error(Code.WRONG_TYPE, f"a block returns tensors, found {describe(value)}", item.value.span)
        value = UNKNOWN
    frame.result, frame.done = value, True
    _check_unreachable(run, env, item)


def _returnable(value: Known) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(_returnable, value))
    return isinstance(value, Tensor)


def _check_unreachable(run: Run, env: Env, item: tree.Return) -> None:
    block = run.active[-1]
    statements = block.body.statements
    for before, after in pairwise(statements):
        if before is item:
            run.found.warning(
                Code.UNUSED_VALUE, "nothing behind `return` is reached", after.span, secondary=[Label(item.span)]
            )


# -- control ---------------------------------------------------------------------------------------


@statement(tree.For)
def _for(run: Run, env: Env, item: tree.For) -> None:
    values = run.evaluate(env, item.values)
    if isinstance(values, Unknown):
        return
    if not isinstance(values, list | tuple):
        help = f"write `range({values})`" if is_int(values) else None
        run.error(Code.WRONG_TYPE, f"`for` runs over a list, found {describe(values)}", item.values.span, help=help)
        return
    if not values:
        run.skip(env, item.body)
    for value in values:
        inside = env.inner()
        for name, part in zip(item.names, _unpacked(run, item.names, value, item.values), strict=True):
            run.usage.bind(name.text, name.span, "loop")
            inside.scope.bindings[name.text] = Binding(part, name.span, "loop")
        run.execute_all(inside, item.body)
        if env.frame.done:
            return


@statement(tree.Evaluate)
def _evaluate(run: Run, env: Env, item: tree.Evaluate) -> None:
    expr = item.value
    if isinstance(expr, tree.Conditional):
        body = chosen_body(run, env, expr)
        if isinstance(body, tree.Body):
            run.execute_all(env.inner(), body)
        return
    if isinstance(expr, tree.Comparison) and expr.operator.text == "==":
        run.error(
            Code.SYNTAX, "a comparison alone does nothing", expr.operator.span, help="`=` binds a name; `==` compares"
        )
        return
    value = run.evaluate(env, expr)
    is_tail = env.frame.what == "block" and not env.scope.inner
    if not has_unknown(value) and not is_tail:
        run.warning(
            Code.UNUSED_VALUE, "this value is not used", expr.span, help="bind it: `name = ...`, or make it an `output`"
        )
