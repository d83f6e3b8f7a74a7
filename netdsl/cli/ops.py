"""``netdsl ops``: the manual of the ops."""

from __future__ import annotations

import click

from netdsl.cli.common import print_json, session_of
from netdsl.cli.options import json_option
from netdsl.ops.manual import Entry, default_text, entries, find_entry, kind_text


@click.command(
    epilog="""\b
Examples:
  netdsl ops
  netdsl ops conv
  netdsl ops maxpool --json"""
)
@click.argument("name", metavar="[NAME]", required=False)
@json_option
@click.pass_context
def command(context: click.Context, name: str | None) -> None:
    """Print the manual of an op, or list all ops.

    An entry says what the op computes, its arguments with types and defaults, its shapes, its parameters, and the
    paper it comes from. What an argument says with `...` has no fixed default; the text tells.
    """
    as_json = session_of(context).json
    if name is not None:
        entry = find_entry(name)
        if as_json:
            print_json({"op": entry.to_json()})
        else:
            print(entry_text(entry), end="")
        return
    if as_json:
        print_json({"ops": [entry.to_json() for entry in entries()]})
        return
    listed = entries()
    width = max(len(entry.op.name) for entry in listed)
    for entry in listed:
        print(f"{entry.op.name:<{width}}  {entry.summary}")


def entry_text(entry: Entry) -> str:
    """An entry for a terminal."""
    lines = [f"{entry.operands} -> {entry.signature}", "", entry.text]
    rows = [_row(entry, number) for number in range(len(entry.op.args))]
    rows += [(name, "", "a tensor that lends its shape", "") for name in entry.op.shape_operands]
    if rows:
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines += ["", "Arguments:"]
        for name, default, kind, doc in rows:
            lines.append(f"  {name:<{widths[0]}}  {default:<{widths[1]}}  {kind}".rstrip())
            if doc:
                lines.append(" " * (widths[0] + widths[1] + 6) + doc)
    return "\n".join(lines) + "\n"


def _row(entry: Entry, number: int) -> tuple[str, str, str, str]:
    arg = entry.op.args[number]
    return arg.name, "required" if arg.required else f"= {default_text(arg)}", kind_text(arg), arg.doc
