"""What can be said of blocks that the chosen net does not use: names that exist nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.elaborate import known
from netdsl.elaborate.files import Module
from netdsl.elaborate.names import NameScope
from netdsl.elaborate.pipes import report_unknown_layer
from netdsl.elaborate.scope import Scope
from netdsl.elaborate.state import Env, Frame, Run
from netdsl.ops.base import all_ops
from netdsl.syntax import tree


def check_unreached(run: Run, module: Module) -> None:
    """Report ops and blocks that are spelled wrongly in blocks that were never instantiated."""
    for block, owner in module.blocks.values():
        if owner is not module or block.name.span in run.reached:
            continue
        nodes = list(tree.below(block.body))
        run.count_step(block.name.span, 8 + len(nodes) // 2)
        here = _bound(block, nodes)
        env = Env(Scope(), NameScope(), Frame("block", block.name.text, module))
        for name in sorted(_used(nodes), key=lambda item: item.span.start):
            if not _exists(module, name.text) and name.text not in here:
                report_unknown_layer(run, env, name)


def _used(nodes: list[tree.Syntax]) -> Iterator[tree.Name]:
    """The names in the places of ops and blocks."""
    for node in nodes:
        if isinstance(node, tree.Call):
            yield node.name
        elif isinstance(node, tree.Pipe):
            yield from (stage for stage in node.stages[1:] if isinstance(stage, tree.Name))


def _bound(block: tree.Block, nodes: list[tree.Syntax]) -> set[str]:
    names = {parameter.name.text for parameter in block.parameters}
    for node in nodes:
        if isinstance(node, tree.Assign):
            names.update(target.text for target in node.targets)
        elif isinstance(node, tree.Layer):
            names.add(node.name.text)
        elif isinstance(node, tree.For):
            names.update(name.text for name in node.names)
    return names


def _exists(module: Module, name: str) -> bool:
    if name in module.blocks or name in known.FUNCTIONS or name in known.MEASURES:
        return True
    return name in all_ops() and not all_ops()[name].internal
