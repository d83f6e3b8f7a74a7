"""From the arguments in the text to the arguments of an op or block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Protocol

from netdsl.diagnostics import Code, Label, did_you_mean, suggest
from netdsl.elaborate.convert import PARAMETER_KINDS, WORD_KINDS, check_parameter, expected, to_argument
from netdsl.elaborate.expressions import attempt
from netdsl.elaborate.files import Module
from netdsl.elaborate.known import Failure
from netdsl.elaborate.state import Env, Run
from netdsl.elaborate.values import UNKNOWN, Known, Tensor, describe, has_unknown, is_tensors
from netdsl.ops.base import Arg, OpDef
from netdsl.record import record
from netdsl.source import Span
from netdsl.syntax import tree


@record
class BlockRef:
    """A block and the file it was declared in."""

    block: tree.Block
    module: Module


class Signature(Protocol):
    """What arguments are matched with: an op, or a name of a ``train`` block."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> tuple[Arg, ...]: ...

    @property
    def operands(self) -> tuple[str, ...]: ...


@record(frozen=False)
class Prepared:
    """A call whose arguments were evaluated, to be applied once (or, a shared layer, several times).

    Of an op, ``values`` are its canonical arguments and ``tensors`` its operands by position;
    ``named_tensors`` were given by name. Of a block, ``values`` are all given arguments.
    """

    target: Signature | BlockRef
    span: Span
    values: dict[str, Any] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    named_tensors: dict[str, Tensor] = field(default_factory=dict)
    failed: bool = False
    uncertain: bool = False
    """A positional argument failed: whether it was an operand, and what those behind it are, is not known."""

    @property
    def name(self) -> str:
        return self.target.block.name.text if isinstance(self.target, BlockRef) else self.target.name


def flatten_tensors(value: Known) -> list[Tensor]:
    """The tensors of a tensor, list or tuple, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in flatten_tensors(item)]
    return []


def evaluate_word(run: Run, env: Env, expr: tree.Expr, words: Sequence[str] | None) -> Known:
    """Evaluate where bare words are allowed: those in ``words``, or any unbound name if it is None."""
    if isinstance(expr, tree.Name) and expr.text != "in":
        if words is None:
            if env.scope.find(expr.text) is None:
                return expr.text
        elif expr.text in words:
            return expr.text
    return run.evaluate(env, expr)


# -- ops -------------------------------------------------------------------------------------------


def prepare_op(run: Run, env: Env, definition: Signature, arguments: Sequence[tree.Argument], span: Span) -> Prepared:
    """Match arguments with an op's schema; every mismatch is reported."""
    prepared = Prepared(definition, span)
    where: dict[str, Span] = {}
    for argument in arguments:
        match = _op_positional if argument.name is None else _op_keyword
        match(run, env, prepared, definition, argument, where)
    _fill_defaults(run, prepared, definition.args, where)
    return prepared


def _op_positional(
    run: Run,
    env: Env,
    prepared: Prepared,
    definition: Signature,
    argument: tree.Argument,
    where: dict[str, Span],
) -> None:
    """Tensors are operands; any other value is the next argument of the schema."""
    if prepared.uncertain:
        words = [word for item in definition.args for word in item.words]
        evaluate_word(run, env, argument.value, words)
        return
    arg = next((item for item in definition.args if item.name not in where), None)
    value = _op_value(run, env, definition.name, arg, argument.value)
    if has_unknown(value):
        prepared.failed = prepared.uncertain = True
    elif is_tensors(value):
        prepared.tensors += flatten_tensors(value)
    elif arg is None:
        _too_many(run, definition.name, argument, [item.name for item in definition.args])
        prepared.failed = True
    else:
        _set(run, prepared, definition.name, arg, value, argument, where)


def _op_value(run: Run, env: Env, owner: str, arg: Arg | None, expr: tree.Expr) -> Known:
    words = arg.words if arg else ()
    is_word = words and isinstance(expr, tree.Name) and expr.text not in (*words, "in")
    if is_word and isinstance(expr, tree.Name) and env.scope.find(expr.text) is None:
        _unknown_word(run, env, owner, arg, expr)
        return UNKNOWN
    return evaluate_word(run, env, expr, words)


def _unknown_word(run: Run, env: Env, owner: str, arg: Arg | None, expr: tree.Name) -> None:
    assert arg is not None
    run.error(
        Code.UNKNOWN_VALUE,
        f"`{arg.name}` of `{owner}` is {expected(arg)}, found `{expr.text}`",
        expr.span,
        help=did_you_mean(expr.text, [*arg.words, *env.scope.names()]),
    )


def _op_keyword(
    run: Run, env: Env, prepared: Prepared, definition: Signature, argument: tree.Argument, where: dict[str, Span]
) -> None:
    assert argument.name is not None
    name = argument.name.text
    arg = next((item for item in definition.args if item.name == name), None)
    shape_operands = definition.shape_operands if isinstance(definition, OpDef) else ()
    if arg is None and name not in (*definition.operands, *shape_operands):
        names = [item.name for item in definition.args] + [*definition.operands[1:], *shape_operands]
        _unknown_argument(run, definition.name, argument.name, names)
        run.evaluate(env, argument.value)
        prepared.failed = True
        return
    if name in where:
        _repeated(run, definition.name, argument, where[name])
        prepared.failed = True
        return
    value = _op_value(run, env, definition.name, arg, argument.value)
    where[name] = argument.span
    if has_unknown(value):
        prepared.failed = True
    elif arg is not None:
        _set(run, prepared, definition.name, arg, value, argument, where)
    elif isinstance(value, Tensor):
        prepared.named_tensors[name] = value
    else:
        run.error(
            Code.WRONG_TYPE, f"`{name}` of `{definition.name}` is a tensor, found {describe(value)}", argument.span
        )
        prepared.failed = True


def _set(
    run: Run,
    prepared: Prepared,
    owner: str,
    arg: Arg,
    value: Known,
    argument: tree.Argument,
    where: dict[str, Span],
) -> None:
    where[arg.name] = argument.span
    converted = attempt(run, argument.value, lambda: to_argument(owner, arg, value))
    if converted is UNKNOWN:
        prepared.failed = True
    else:
        prepared.values[arg.name] = converted


def _fill_defaults(run: Run, prepared: Prepared, args: Sequence[Arg], where: dict[str, Span]) -> None:
    for arg in args:
        if not arg.required and arg.name not in prepared.values:
            prepared.values[arg.name] = None if arg.default is None else to_argument("", arg, arg.default)
    missing = [arg for arg in args if arg.required and arg.name not in where]
    if missing and not prepared.uncertain:
        run.error(
            Code.MISSING_ARGUMENT,
            f"`{prepared.name}` needs " + " and ".join(f"`{arg.name}`" for arg in missing),
            prepared.span,
            notes=[f"`{arg.name}` is {expected(arg)}" for arg in missing],
        )
        prepared.failed = True


def _too_many(run: Run, owner: str, argument: tree.Argument, names: Sequence[str]) -> None:
    title = f"`{owner}` takes fewer arguments" if names else f"`{owner}` takes no arguments"
    notes = [f"it takes {', '.join(names)}"] if names else []
    run.error(Code.TOO_MANY_ARGUMENTS, title, argument.span, notes=notes)


def _unknown_argument(run: Run, owner: str, name: tree.Name, names: Sequence[str]) -> None:
    near = suggest(name.text, names)
    takes = ", ".join(f"`{item}`" for item in names) if names else "no arguments"
    run.error(
        Code.UNKNOWN_ARGUMENT,
        f"`{owner}` has no argument `{name.text}`",
        name.span,
        notes=[] if near else [f"it takes {takes}"],
        help=f"did you mean `{near}`?" if near else None,
    )


def _repeated(run: Run, owner: str, argument: tree.Argument, first: Span) -> None:
    assert argument.name is not None
    run.error(
        Code.REPEATED_ARGUMENT,
        f"`{argument.name.text}` of `{owner}` is given twice",
        argument.span,
        secondary=[Label(first, "given here")],
    )


def operands_of(run: Run, prepared: Prepared, given: Known, span: Span) -> list[Tensor] | None:
    """The operands in the op's order: what is piped in, then positional and named tensors. None on errors."""
    definition = prepared.target
    assert isinstance(definition, OpDef)
    if has_unknown(given):
        return None
    if given is not None and not is_tensors(given):
        run.error(Code.WRONG_TYPE, f"`{definition.name}` works on tensors, found {describe(given)}", span)
        return None
    tensors = flatten_tensors(given) + prepared.tensors
    names = definition.operands
    if not tensors and not prepared.named_tensors:
        run.error(
            Code.MISSING_IN,
            f"`{definition.name}` has nothing to work on",
            span,
            help=f"pipe a value in: `value -> {definition.name}`",
        )
        return None
    if definition.variadic:
        return tensors
    twice = [name for name in names[: len(tensors)] if name in prepared.named_tensors]
    if twice:
        run.error(Code.REPEATED_ARGUMENT, f"`{twice[0]}` of `{definition.name}` is given twice", span)
        return None
    rest = names[len(tensors) :]
    lending = [name for name in definition.shape_operands if name in prepared.named_tensors]
    if len(tensors) > len(names) or {*rest, *lending} != set(prepared.named_tensors):
        listed = ", ".join(names)
        count = len(tensors) + len(prepared.named_tensors)
        wanted = "one tensor" if len(names) == 1 else f"{len(names)} tensors"
        run.error(
            Code.WRONG_COUNT,
            f"`{definition.name}` works on {wanted} ({listed}), found {count}",
            span,
        )
        return None
    return tensors + [prepared.named_tensors[name] for name in (*rest, *lending)]


# -- blocks ----------------------------------------------------------------------------------------


def prepare_block(run: Run, env: Env, ref: BlockRef, arguments: Sequence[tree.Argument], span: Span) -> Prepared:
    """Match arguments with a block's parameters.

    A first tensor is what is piped in where the first parameter takes none, or where there are more arguments
    than parameters.
    """
    prepared = Prepared(ref, span)
    parameters = ref.block.parameters
    by_name = {item.name.text: item for item in parameters}
    where: dict[str, Span] = {}
    crowded = len(arguments) > len(parameters)
    for number, argument in enumerate(arguments):
        if argument.name is not None:
            _block_keyword(run, env, prepared, argument, by_name, where)
            continue
        parameter = next((item for item in parameters if item.name.text not in where), None)
        value = _block_value(run, env, parameter, argument.value)
        leads = number == 0 and isinstance(value, Tensor | tuple) and is_tensors(value)
        if leads and (crowded or parameter is None or parameter.kind.text != "tensor"):
            prepared.tensors = flatten_tensors(value)
        elif parameter is None:
            _too_many(run, prepared.name, argument, list(by_name))
            prepared.failed = True
        else:
            _set_parameter(run, prepared, parameter, value, argument, where)
    _require_parameters(run, prepared, parameters, where)
    return prepared


def _block_value(run: Run, env: Env, parameter: tree.Parameter | None, expr: tree.Expr) -> Known:
    takes_words = parameter is not None and parameter.kind.text in WORD_KINDS
    return evaluate_word(run, env, expr, None if takes_words else ())


def _block_keyword(
    run: Run,
    env: Env,
    prepared: Prepared,
    argument: tree.Argument,
    by_name: dict[str, tree.Parameter],
    where: dict[str, Span],
) -> None:
    assert argument.name is not None
    parameter = by_name.get(argument.name.text)
    value = _block_value(run, env, parameter, argument.value)
    if parameter is None:
        _unknown_argument(run, prepared.name, argument.name, list(by_name))
        prepared.failed = True
    elif argument.name.text in where:
        _repeated(run, prepared.name, argument, where[argument.name.text])
        prepared.failed = True
    else:
        _set_parameter(run, prepared, parameter, value, argument, where)


def _set_parameter(
    run: Run,
    prepared: Prepared,
    parameter: tree.Parameter,
    value: Known,
    argument: tree.Argument,
    where: dict[str, Span],
) -> None:
    name = parameter.name.text
    where[name] = argument.span
    prepared.values[name] = checked_parameter(run, prepared.name, parameter, value, argument.value.span)


def checked_parameter(run: Run, owner: str, parameter: tree.Parameter, value: Known, span: Span) -> Known:
    """``value`` if it is of the parameter's kind, else UNKNOWN and an error."""
    if has_unknown(value) or parameter.kind.text not in PARAMETER_KINDS:
        return UNKNOWN
    try:
        check_parameter(owner, parameter.name.text, parameter.kind.text, value)
    except Failure as failure:
        label = Label(parameter.span, "declared here")
        run.error(failure.code, failure.title, span, secondary=[label], help=failure.help)
        return UNKNOWN
    return value


def _require_parameters(
    run: Run, prepared: Prepared, parameters: Sequence[tree.Parameter], where: dict[str, Span]
) -> None:
    for parameter in parameters:
        if parameter.default is None and parameter.name.text not in where:
            run.error(
                Code.MISSING_ARGUMENT,
                f"`{prepared.name}` needs `{parameter.name.text}`",
                prepared.span,
                secondary=[Label(parameter.span, f"declared here, {_phrase(parameter)}")],
            )
            prepared.values[parameter.name.text] = UNKNOWN


def _phrase(parameter: tree.Parameter) -> str:
    phrase, _ = PARAMETER_KINDS.get(parameter.kind.text, ("of an unknown type", None))
    return phrase
