"""From a syntax tree to a layer graph: blocks instantiated, loops unrolled, everything named, typed and located."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from netdsl.diagnostics import Code, Diagnostic, Diagnostics, ResourceLimit, UserError, did_you_mean
from netdsl.elaborate import expressions, pipes, statements
from netdsl.elaborate.blocks import bind_parameters, check_parameters, module_scope
from netdsl.elaborate.choices import Choice
from netdsl.elaborate.files import Module, load_program
from netdsl.elaborate.limits import STEPS_A_NET, Spent
from netdsl.elaborate.names import NameScope
from netdsl.elaborate.nets import Chosen, bind_image_size, buildable_nets, choose, pick_net, set_arguments
from netdsl.elaborate.scope import Scope
from netdsl.elaborate.state import Env, Frame, Run
from netdsl.elaborate.training import Metric, TargetSpec, TrainSpec, elaborate_train
from netdsl.elaborate.unreached import check_unreached
from netdsl.ir.graph import Graph
from netdsl.ops.base import all_ops
from netdsl.record import record
from netdsl.source import Source, Span
from netdsl.syntax import tree

if TYPE_CHECKING:
    from netdsl.elaborate.probe import Probe

__all__ = [
    "Choice",
    "Metric",
    "Model",
    "Module",
    "TargetSpec",
    "TrainSpec",
    "buildable_nets",
    "elaborate",
    "load_program",
]

_HANDLERS = (expressions, pipes, statements)  # importing them registers what they handle
_PYTHON_FRAMES = 20_000


@record
class Model:
    """An elaborated net. ``graph`` is the net alone (no loss); ``arguments`` are those it was built with."""

    name: str
    graph: Graph
    train: TrainSpec | None
    arguments: dict[str, Any]
    sizes: dict[str, int]
    warnings: tuple[Diagnostic, ...]
    source: Source
    taken: dict[str, Span] = field(default_factory=dict)
    """The names of layers, block instances and groups, and the text that gave each."""


def elaborate(
    program: Module | tree.Program,
    net: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    image_size: tuple[int, int] | None = None,
    probe: Probe | None = None,
    spent: Spent | None = None,
) -> Model:
    """Build one net of a program.

    ``arguments`` are values or, as from a command line, their text; ``sizes`` bind symbolic sizes by name, and
    ``image_size`` binds whatever stands for (height, width) in the inputs; ``probe`` decides about axes and writes
    down what depends on them; ``spent`` shares the limits of a file between its nets. Raises UserError with everything
    that is wrong, ResourceLimit where the file asks for too much.
    """
    module = program if isinstance(program, Module) else load_program(program.source)
    name = pick_net(module, net)
    run = Run(Graph(name), Diagnostics(), dict(sizes or {}), probe, before=replace(spent) if spent else Spent())
    try:
        with _deep_stack():
            return _build(run, module, name, dict(arguments or {}), image_size)
    except RecursionError:
        raise ResourceLimit.of(Code.LIMIT_DEPTH, "blocks and expressions are nested too deeply") from None
    finally:
        if probe is not None:
            probe.steps = run.steps
        if spent is not None:
            taken = run.spent()
            spent.steps, spent.nodes, spent.errors = taken.steps, taken.nodes, taken.errors


@contextmanager
def _deep_stack() -> Iterator[None]:
    """Room for the nesting that the limits allow; it costs several Python frames a level."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _PYTHON_FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _build(run: Run, module: Module, name: str, arguments: dict[str, Any], image_size: tuple[int, int] | None) -> Model:
    _check_declarations(run, module)
    chosen = choose(run, module, name)
    if chosen is None:
        raise UserError(run.found)
    if image_size is not None:
        bind_image_size(run, chosen, image_size, arguments, run.sizes)
    set_arguments(run, module, chosen, arguments)
    if run.probe is not None:
        chosen.values.update(run.probe.arguments({item.name.text for item in chosen.net.parameters}))
    env = Env(Scope(module_scope(run, module)), NameScope(), Frame("net", name, module))
    bind_parameters(run, env, name, chosen.net.parameters, chosen.values)
    run.execute_all(env, chosen.net.body)
    _check_net(run, chosen)
    _check_sizes(run, env, name)
    built_with = {item.name.text: env.scope.bindings[item.name.text].value for item in chosen.net.parameters}
    spec = _train(run, module, env, chosen) if run.probe is None or not run.probe.literal else None
    check_unreached(run, module)
    if not run.found.has_errors:
        _report_unused(run)
    run.found.raise_if_errors()
    if run.probe is not None:
        run.probe.trace.complete = True
    return Model(name, run.graph, spec, built_with, run.sizes, run.found.warnings, module.source, run.taken)


def _train(run: Run, module: Module, env: Env, chosen: Chosen) -> TrainSpec | None:
    for name in chosen.names:
        if name in module.trains:
            return elaborate_train(run, env, module.trains[name])
    return None


def _check_declarations(run: Run, module: Module) -> None:
    """What can be said of declarations before anything is built."""
    run.count_step(module.nets[run.graph.name].span, STEPS_A_NET + len(module.blocks) + len(module.trains))
    for block, owner in module.blocks.values():
        if owner is module:
            check_parameters(run, block.parameters, of_net=False)
            _check_block_name(run, block)
    for name, train in module.trains.items():
        if name not in module.nets:
            run.error(
                Code.UNKNOWN_NAME,
                f"there is no net `{name}` to train in this file",
                train.net.span,
                help=did_you_mean(name, module.nets),
            )


def _check_block_name(run: Run, block: tree.Block) -> None:
    if block.name.text in all_ops():
        run.error(Code.DUPLICATE_NAME, f"`{block.name.text}` is an op; give the block another name", block.name.span)


def _check_net(run: Run, chosen: Chosen) -> None:
    if run.found.has_errors:
        return
    name = chosen.net.name
    if not run.graph.inputs:
        run.error(
            Code.MISPLACED, f"the net `{name.text}` has no input", name.span, help="write `input image: [3, 224, 224]`"
        )
    if not run.graph.outputs:
        run.error(
            Code.MISSING_RETURN, f"the net `{name.text}` has no output", name.span, help="write `output name = value`"
        )


def _check_sizes(run: Run, env: Env, name: str) -> None:
    symbols = {key: None for key, binding in env.scope.bindings.items() if binding.what == "size"}
    for size in run.sizes:
        if size not in symbols and not run.found.has_errors:
            has = f"its symbolic sizes are {', '.join(symbols)}" if symbols else "all its sizes are fixed by the file"
            run.found.error(Code.BAD_OPTION, f"`{name}` has no symbolic size `{size}`", notes=[has])


_UNUSED = {
    "argument": (Code.UNUSED_ARGUMENT, "the argument `{}` is never used"),
    "value": (Code.UNUSED_VALUE, "the value `{}` is never used"),
    "input": (Code.UNUSED_VALUE, "the input `{}` is never used"),
    "layer": (Code.UNUSED_VALUE, "the shared layer `{}` is never used"),
    "target": (Code.UNUSED_VALUE, "the target `{}` is never used"),
}


def _report_unused(run: Run) -> None:
    for span, name, what in run.usage.unread():
        if what in _UNUSED:
            code, title = _UNUSED[what]
            run.found.warning(code, title.format(name), span)
