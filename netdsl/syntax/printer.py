"""The syntax tree as text, for ``--emit tree``.

One line a node, indented by depth: what it is, its plain fields, and where it begins:

    Net  (2:1)
      Name text='LeNet5'  (2:5)
      Body  (2:31)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from netdsl.syntax.tree import Program, Syntax, children


def print_tree(program: Program) -> str:
    """The whole tree, ending in a line feed."""
    return "\n".join(_lines(program, 0)) + "\n"


def _lines(node: Syntax, depth: int) -> Iterator[str]:
    span = node.span
    values = "".join(f" {name}={value!r}" for name, value in _plain(node))
    yield f"{'  ' * depth}{type(node).__name__}{values}  ({span.line}:{span.column})"
    for child in children(node):
        yield from _lines(child, depth + 1)


def _plain(node: Syntax) -> Iterator[tuple[str, object]]:
    """The fields that hold no nodes and no places in the text."""
    for item in fields(node):
        value = getattr(node, item.name)
        is_value = isinstance(value, str | int | float) or (
            isinstance(value, tuple) and value and all(isinstance(entry, int) for entry in value)
        )
        if is_value:
            yield item.name, value
