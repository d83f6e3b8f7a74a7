"""Block instances: the body of a block, elaborated for one use of it."""

from __future__ import annotations

from netdsl.diagnostics import Code, Label
from netdsl.elaborate.calls import BlockRef, Prepared, checked_parameter, evaluate_word
from netdsl.elaborate.convert import PARAMETER_KINDS, WORD_KINDS
from netdsl.elaborate.files import Module
from netdsl.elaborate.layers import Place
from netdsl.elaborate.names import NameScope
from netdsl.elaborate.scope import Binding, Scope
from netdsl.elaborate.state import Env, Frame, Run
from netdsl.elaborate.values import UNKNOWN, Known, has_unknown
from netdsl.source import Span
from netdsl.syntax import tree


def make_block(run: Run, prepared: Prepared, given: Known, place: Place, span: Span) -> Known:
    """The value that the block returns for ``given``."""
    ref = prepared.target
    assert isinstance(ref, BlockRef)
    if _is_recursive(run, ref, span) or not run.claim(place.name, span):
        return UNKNOWN
    if prepared.failed:
        return UNKNOWN
    frame = Frame("block", ref.block.name.text, ref.module, given)
    names = NameScope(f"{place.name}.", f"{place.weights}.", place.shared)
    env = Env(Scope(module_scope(run, ref.module)), names, frame)
    run.trail.append((frame.name, span))
    run.active.append(ref.block)
    run.reached.add(ref.block.name.span)
    bind_parameters(run, env, prepared.name, ref.block.parameters, prepared.values)
    run.execute_all(env, ref.block.body)
    run.active.pop()
    run.trail.pop()
    return _result(run, frame, ref.block)


def _result(run: Run, frame: Frame, block: tree.Block) -> Known:
    if not frame.done:
        last = block.body.statements[-1] if block.body.statements else None
        help = "write `return` before it" if isinstance(last, tree.Evaluate) else "end it with `return value`"
        span = last.span if isinstance(last, tree.Evaluate) else block.name.span
        run.found.error(Code.MISSING_RETURN, f"the block `{frame.name}` returns nothing", span, help=help)
        return UNKNOWN
    return frame.result


def _is_recursive(run: Run, ref: BlockRef, span: Span) -> bool:
    if ref.block not in run.active:
        return False
    start = run.active.index(ref.block)
    chain = [block.name.text for block in run.active[start:]] + [ref.block.name.text]
    labels = [Label(use, f"`{name}` is used here") for name, use in run.trail[start + 1 :][:4]]
    run.found.error(
        Code.RECURSION,
        f"the block `{ref.block.name.text}` contains itself",
        span,
        secondary=labels,
        notes=[" -> ".join(chain)] if len(chain) <= 12 else [],
        help="repeat with `Block * n`, or with a `for` over known values",
    )
    return True


def bind_parameters(
    run: Run,
    env: Env,
    owner: str,
    parameters: tuple[tree.Parameter, ...],
    values: dict[str, Known],
) -> None:
    """Bind every parameter to its argument or default; a default may speak of the parameters before it."""
    for parameter in parameters:
        name = parameter.name.text
        if name in values:
            value = values[name]
        elif parameter.default is None:
            value = UNKNOWN
        else:
            words = None if parameter.kind.text in WORD_KINDS else ()
            value = evaluate_word(run, env, parameter.default, words)
            value = checked_parameter(run, owner, parameter, value, parameter.default.span)
        run.usage.bind(name, parameter.name.span, "argument")
        env.scope.bindings[name] = Binding(value, parameter.name.span, "argument")


def module_scope(run: Run, module: Module) -> Scope:
    """The constants at the top of a file."""
    scope = run.constants.get(module)
    if scope is not None:
        return scope
    scope = run.constants[module] = Scope()
    env = Env(scope, NameScope(), Frame("file", module.source.name, module))
    for item in module.constants:
        value = run.evaluate(env, item.value)
        run.bind(env, item.name, value, "constant")
        run.usage.read.add(item.name.span)
        if not has_unknown(value) and not _is_constant(value):
            run.error(Code.MISPLACED, "only known values may stand at the top of a file", item.value.span)
    return scope


def _is_constant(value: Known) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_constant, value))
    return isinstance(value, bool | int | float | str)


def check_parameters(run: Run, parameters: tuple[tree.Parameter, ...], of_net: bool) -> None:
    """Kinds that exist, names that differ."""
    seen: dict[str, Span] = {}
    for parameter in parameters:
        name, kind = parameter.name.text, parameter.kind.text
        if name in seen:
            run.error(
                Code.DUPLICATE_NAME,
                f"`{name}` is declared twice",
                parameter.name.span,
                secondary=[Label(seen[name], "first here")],
            )
        seen[name] = parameter.name.span
        if kind not in PARAMETER_KINDS:
            listed = ", ".join(f"`{item}`" for item in PARAMETER_KINDS)
            run.error(
                Code.UNKNOWN_VALUE, f"there is no type `{kind}`", parameter.kind.span, help=f"the types are {listed}"
            )
        elif of_net and kind == "tensor":
            run.error(
                Code.MISPLACED,
                "a net takes tensors as `input`, not as arguments",
                parameter.span,
                help=f"write `input {name}: [C, H, W]` in its body",
            )
