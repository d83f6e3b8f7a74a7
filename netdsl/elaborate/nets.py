"""Which net of a file is meant, and with which arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from netdsl.diagnostics import Code, Diagnostic, Label, Level, UserError, did_you_mean
from netdsl.elaborate.blocks import check_parameters, module_scope
from netdsl.elaborate.calls import BlockRef, checked_parameter, evaluate_word, prepare_block
from netdsl.elaborate.convert import PARAMETER_KINDS, WORD_KINDS
from netdsl.elaborate.files import Module
from netdsl.elaborate.names import NameScope
from netdsl.elaborate.state import Env, Frame, Run
from netdsl.elaborate.values import UNKNOWN, Known
from netdsl.record import record
from netdsl.source import Source
from netdsl.syntax import tree
from netdsl.syntax.parser import parse


@record(frozen=False)
class Chosen:
    """The net to build: its declaration, the variants that led to it, and the arguments they fix."""

    name: str
    net: tree.Net
    variants: list[tree.Variant]
    values: dict[str, Known] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The asked-for name and those it stands for."""
        return [variant.name.text for variant in self.variants] + [self.net.name.text]


def buildable_nets(module: Module) -> list[str]:
    """The nets of a file that can be built without further arguments, in order of appearance."""
    return [name for name in module.nets if not _lacks_arguments(module, name)]


def _lacks_arguments(module: Module, name: str) -> bool:
    item = module.nets[name]
    return isinstance(item, tree.Net) and any(parameter.default is None for parameter in item.parameters)


def pick_net(module: Module, name: str | None) -> str:
    """The asked-for net, or the only one there is. Raises UserError."""
    if name is not None:
        if name in module.nets:
            return name
        raise _no_net(module, f"{module.source.name} has no net `{name}`", did_you_mean(name, module.nets))
    if not module.nets:
        raise _no_net(module, f"{module.source.name} declares no net", "write `net Name { ... }`")
    candidates = list(module.nets) if len(module.nets) == 1 else buildable_nets(module)
    if len(candidates) != 1:
        some = (candidates or list(module.nets))[0]
        raise _no_net(module, f"{module.source.name} declares several nets", f"pick one: `{module.source.name}#{some}`")
    return candidates[0]


def _no_net(module: Module, title: str, help: str | None) -> UserError:
    names = list(module.nets)
    notes = (f"it declares {', '.join(names[:40])}",) if names else ()
    return UserError([Diagnostic(Code.NO_NET, Level.ERROR, title, None, (), notes, help)])


def choose(run: Run, module: Module, name: str) -> Chosen | None:
    """Follow variants down to the net they stand for. None after an error."""
    variants: list[tree.Variant] = []
    seen: set[tree.Variant] = set()
    item = module.nets[name]
    while isinstance(item, tree.Variant):
        run.count_step(item.span)
        if item in seen:
            ring = " = ".join(variant.name.text for variant in [*variants, item])
            run.error(Code.RECURSION, "these nets stand for each other", item.span, notes=[ring])
            return None
        variants.append(item)
        seen.add(item)
        following = _base(run, module, item)
        if following is None:
            return None
        item = following
    assert isinstance(item, tree.Net)
    chosen = Chosen(name, item, variants)
    check_parameters(run, item.parameters, of_net=True)
    for variant in reversed(variants):
        _fix_arguments(run, module, chosen, variant)
    return chosen


def _base_name(value: tree.Expr) -> tree.Name | None:
    if isinstance(value, tree.Call):
        return value.name
    return value if isinstance(value, tree.Name) else None


def _base(run: Run, module: Module, variant: tree.Variant) -> tree.Net | tree.Variant | None:
    name = _base_name(variant.value)
    if name is None:
        run.error(
            Code.WRONG_TYPE,
            "a variant is another net with arguments",
            variant.value.span,
            help=f"write `net {variant.name.text} = Other(argument, ...)`",
        )
        return None
    base = module.nets.get(name.text)
    if base is None:
        run.error(
            Code.UNKNOWN_NAME,
            f"there is no net `{name.text}` in this file",
            name.span,
            help=did_you_mean(name.text, module.nets),
        )
    return base


def _fix_arguments(run: Run, module: Module, chosen: Chosen, variant: tree.Variant) -> None:
    if not isinstance(variant.value, tree.Call):
        return
    free = tuple(item for item in chosen.net.parameters if item.name.text not in chosen.values)
    optional = tuple(
        tree.Parameter(item.span, item.name, item.kind, item.default or tree.Flag(item.span, False)) for item in free
    )
    stand_in = tree.Block(chosen.net.span, chosen.net.name, optional, chosen.net.body)
    prepared = prepare_block(
        run, file_env(run, module), BlockRef(stand_in, module), variant.value.arguments, variant.value.span
    )
    chosen.values.update(prepared.values)


def file_env(run: Run, module: Module) -> Env:
    """Where the expressions at the top of a file stand."""
    return Env(module_scope(run, module), NameScope(), Frame("file", module.source.name, module))


# -- arguments from outside ------------------------------------------------------------------------


def set_arguments(run: Run, module: Module, chosen: Chosen, arguments: Mapping[str, Any]) -> None:
    """Arguments given on the command line (as text) or from Python (as values)."""
    by_name = {item.name.text: item for item in chosen.net.parameters}
    for name, value in arguments.items():
        parameter = by_name.get(name)
        if parameter is None:
            _unknown_setting(run, chosen, name, [item for item in by_name if item not in chosen.values])
        elif name in chosen.values:
            _fixed_setting(run, chosen, name)
        elif parameter.kind.text in PARAMETER_KINDS:
            chosen.values[name] = _outside_value(run, module, chosen, parameter, value)
    for parameter in chosen.net.parameters:
        if parameter.default is None and parameter.name.text not in chosen.values:
            _missing(run, chosen, parameter)


def _unknown_setting(run: Run, chosen: Chosen, name: str, names: Sequence[str]) -> None:
    takes = ", ".join(f"`{item}`" for item in names) if names else "no arguments"
    run.found.error(
        Code.UNKNOWN_ARGUMENT,
        f"`{chosen.name}` has no argument `{name}`",
        notes=[f"it takes {takes}"],
        help=did_you_mean(name, names),
    )


def _fixed_setting(run: Run, chosen: Chosen, name: str) -> None:
    run.found.error(
        Code.REPEATED_ARGUMENT,
        f"`{name}` of `{chosen.name}` is fixed by the file",
        chosen.variants[0].value.span,
        help=f"set it on `{chosen.net.name.text}` instead",
    )


def _missing(run: Run, chosen: Chosen, parameter: tree.Parameter) -> None:
    name = parameter.name.text
    phrase, _ = PARAMETER_KINDS.get(parameter.kind.text, ("", None))
    run.found.error(
        Code.MISSING_ARGUMENT,
        f"`{chosen.name}` needs `{name}`",
        parameter.span,
        label=f"is {phrase}",
        help=f"give it with `--set {name}=...`, or a default: `{name}: {parameter.kind.text} = ...`",
    )
    chosen.values[name] = UNKNOWN


def _outside_value(run: Run, module: Module, chosen: Chosen, parameter: tree.Parameter, value: Any) -> Known:
    kind = parameter.kind.text
    span = parameter.span
    if isinstance(value, str) and kind not in ("string", "word"):
        program = parse(Source(f"--set {parameter.name.text}", f"{parameter.name.text} = {value}"))
        expr = _only_value(program)
        if expr is None:
            raise UserError.of(Code.BAD_OPTION, f"`{value}` is not a value for `{parameter.name.text}`")
        span = expr.span
        value = evaluate_word(run, file_env(run, module), expr, None if kind in WORD_KINDS else ())
    elif isinstance(value, tuple) and kind == "list":
        value = list(value)
    return checked_parameter(run, chosen.name, parameter, value, span)


def _only_value(program: tree.Program) -> tree.Expr | None:
    if len(program.declarations) == 1 and isinstance(program.declarations[0], tree.Constant):
        return program.declarations[0].value
    return None


# -- sizes -----------------------------------------------------------------------------------------


def bind_image_size(
    run: Run, chosen: Chosen, size: tuple[int, int], arguments: dict[str, Any], sizes: dict[str, int]
) -> None:
    """``--size HxW``: bind the names that stand for height and width in the inputs of the net.

    Other inputs may have numbers there; that no input has a name is an error.
    """
    parameters = {item.name.text for item in chosen.net.parameters}
    images = [(item, axes) for item in chosen.net.body.statements if (axes := _height_and_width(item))]
    named = [any(isinstance(axes[number], tree.Name) for _, axes in images) for number in (0, 1)]
    for item, axes in images:
        for number, (axis, value) in enumerate(zip(axes, size, strict=True)):
            if isinstance(axis, tree.Name):
                target: dict[str, Any] = arguments if axis.text in parameters else sizes
                if target.setdefault(axis.text, value) != value:
                    _conflict(run, item, axis, target[axis.text], value)
            elif not named[number] and not (isinstance(axis, tree.Number) and axis.value == value):
                _not_symbolic(run, item, axis)


def _height_and_width(item: tree.Statement) -> tuple[tree.Expr, ...]:
    """The last two axes of an input of three; nothing of all other statements."""
    shape = item.shape if isinstance(item, tree.Input) else None
    return shape.items[1:] if isinstance(shape, tree.ListExpr) and len(shape.items) == 3 else ()


def _conflict(run: Run, item: tree.Statement, axis: tree.Name, first: Any, second: int) -> None:
    run.found.error(
        Code.BAD_OPTION,
        f"`{axis.text}` can't be {first} and {second} at once",
        axis.span,
        secondary=[Label(item.span)],
    )


def _not_symbolic(run: Run, item: tree.Statement, axis: tree.Expr) -> None:
    run.found.error(
        Code.BAD_OPTION,
        "the size of this input is fixed by the file",
        axis.span,
        help="declare it as `[..., H, W]` to set it with `--size`",
    )
