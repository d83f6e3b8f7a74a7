"""What an editor shows of the thing under the pointer, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.lsp.document import Document, Layer, receptive_text, shape_text
from netdsl.lsp.instances import Instance
from netdsl.lsp.symbols import Symbol
from netdsl.ops.base import all_ops
from netdsl.ops.manual import default_text, entry_of, kind_text
from netdsl.source import Span
from netdsl.syntax import tree

_INSTANCES = 6


def hover(document: Document, offset: int) -> tuple[str, Span] | None:
    """Markdown and the text it is about; None where there is nothing to say."""
    named = document.symbols.at(offset)
    if named is not None:
        symbol, span = named
        used = _instances_at(document, span)
        table = [_table(used)] if used else []
        return "\n\n---\n\n".join([*table, _symbol_text(document, symbol)]), span
    argument = _argument_at(document, offset)
    if argument is not None:
        return argument
    call = _call_at(document, offset)
    if call is None:
        return None
    name, span = call
    op = all_ops().get(name)
    layers = document.layers_at(offset)
    parts = [_table(layers)] if layers else []
    if op is not None and not op.internal:
        entry = entry_of(op)
        parts.append(f"```net\n{entry.signature}\n```\n{entry.text}")
    return ("\n\n---\n\n".join(parts), span) if parts else None


def argument_text(op_name: str, name: str) -> str | None:
    """The manual's line of an op's argument."""
    op = all_ops().get(op_name)
    arg = next((item for item in op.args if item.name == name), None) if op is not None else None
    if arg is None:
        return None
    default = "required" if arg.required else f"default {default_text(arg)}"
    return f"`{arg.name}`: {kind_text(arg)} ({default})" + (f"\n\n{arg.doc}" if arg.doc else "")


def _argument_at(document: Document, offset: int) -> tuple[str, Span] | None:
    """The manual's line of the argument whose name is written at an offset."""
    for node in tree.below(document.program) if document.program is not None else ():
        if isinstance(node, tree.Call) and node.span.start <= offset <= node.span.end:
            for argument in node.arguments:
                name = argument.name
                if name is not None and name.span.start <= offset <= name.span.end:
                    text = argument_text(node.name.text, name.text)
                    return (text, name.span) if text else None
    return None


def _call_at(document: Document, offset: int) -> tuple[str, Span] | None:
    """The name of an op written at an offset."""
    if document.program is None:
        return None
    for node in tree.below(document.program):
        name = node.name if isinstance(node, tree.Call) else node
        if isinstance(name, tree.Name) and name.span.start <= offset <= name.span.end and name.text in all_ops():
            return name.text, name.span
    return None


def _instances_at(document: Document, span: Span) -> list[Instance]:
    """The uses of a block whose name stands at ``span``."""
    return [item for (start, _), items in document.instances.items() if start == span.start for item in items]


def _table(made: Sequence[Layer | Instance]) -> str:
    rows = ["| layer | shape | parameters | MACs | sees |", "|---|---|--:|--:|---|"]
    for item in made[:_INSTANCES]:
        name, cost = (item.node.name, item.cost) if isinstance(item, Layer) else (item.name, item)
        rows.append(f"| `{name}` | {shape_text(item)} | {cost.params:,} | {cost.macs:,} | {receptive_text(item)} |")
    more = len(made) - _INSTANCES
    sizes = ", ".join(f"{name} = {size}" for name, size in made[0].sizes.items())
    return "\n".join(rows) + (f"\n\nand {more} more" if more > 0 else "") + (f"\n\nat {sizes}" if sizes else "")


def _symbol_text(document: Document, symbol: Symbol) -> str:
    heads = {tree.Block: "block", tree.Net: "net"}
    node = symbol.node
    if isinstance(node, tree.Block | tree.Net):
        listed = ", ".join(parameter.span.text for parameter in node.parameters)
        return f"```net\n{heads[type(node)]} {symbol.name}({listed})\n```"
    text = f"**{symbol.name}** ({symbol.kind})"
    made = _made_by(document, node)
    if made:
        return f"{text}\n\n{_table(made)}"
    if isinstance(node, tree.Input | tree.Parameter | tree.Constant | tree.Layer):
        return f"{text}\n\n```net\n{node.span.text}\n```"
    return text


def _made_by(document: Document, node: tree.Syntax | None) -> list[Layer | Instance]:
    """The layers or uses of a block that make the value which a statement binds."""
    if not isinstance(node, tree.Assign | tree.OutputItem) or node.value is None:
        return []
    return _makers(document, node.value)


def _makers(document: Document, expr: tree.Expr) -> list[Layer | Instance]:
    """What makes the value of an expression: the last stage of a pipe, of each branch where it has some."""
    key = expr.span.start, expr.span.end
    made = [*document.layers.get(key, ()), *document.instances.get(key, ())]
    if made:
        return made
    match expr:
        case tree.Pipe():
            return _makers(document, expr.stages[-1])
        case tree.Named():
            return _makers(document, expr.value)
        case tree.Group():
            return _makers(document, expr.inner)
        case tree.Arithmetic():
            return _makers(document, expr.operands[0])
        case tree.Conditional():
            bodies = [*expr.bodies, *([expr.otherwise] if expr.otherwise else [])]
            ends = [body.statements[-1] for body in bodies if body.statements]
            return [item for end in ends if isinstance(end, tree.Evaluate) for item in _makers(document, end.value)]
    return []
