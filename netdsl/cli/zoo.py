"""``netdsl zoo``: what comes with netdsl."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass

import click

from netdsl.cli.common import print_json, session_of
from netdsl.cli.options import json_option
from netdsl.driver import Origin, load


@dataclass(frozen=True)
class Entry:
    """One network of the zoo. ``title`` is the first comment of its file."""

    name: str
    title: str
    input: str
    params: int
    macs: int


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  netdsl zoo
  netdsl zoo list --json
  netdsl zoo show resnet50
  netdsl zoo show resnet50 > mine.net""",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List the networks that come with netdsl, or print one."""
    if context.invoked_subcommand is None:
        context.invoke(list_networks)


@command.command("list", epilog="\b\nExamples:\n  netdsl zoo list\n  netdsl zoo list --json")
@json_option
@click.pass_context
def list_networks(context: click.Context) -> None:
    """Names, sizes and titles of all networks; `zoo:NAME` stands wherever a file may."""
    from netdsl.resolve import zoo_names

    entries = [_entry(name) for name in zoo_names()]
    if session_of(context).json:
        print_json({"networks": [asdict(entry) for entry in entries]})
        return
    rows = [("name", "input", "params", "MACs", "")]
    rows += [(item.name, item.input, f"{item.params:,}", f"{item.macs:,}", item.title) for item in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, shape, params, macs, title in rows:
        sizes = f"{params:>{widths[2]}}  {macs:>{widths[3]}}"
        print(f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {sizes}  {title}".rstrip())


@command.command("show", epilog="\b\nExamples:\n  netdsl zoo show lenet5\n  netdsl zoo show unet > mine.net")
@click.argument("name")
def show(name: str) -> None:
    """Print the file of one network."""
    from netdsl.elaborate.files import read_source
    from netdsl.resolve import ZOO_PREFIX, resolve

    sys.stdout.write(read_source(resolve(ZOO_PREFIX + name.removeprefix(ZOO_PREFIX)).path).text)


def _entry(name: str) -> Entry:
    from netdsl.analysis.cost import layer_costs, totals
    from netdsl.resolve import ZOO_PREFIX

    model = load(Origin(ZOO_PREFIX + name))
    found = totals(layer_costs(model.graph))
    shapes = ["x".join(map(str, node.output.type.shape)) for node in model.graph.inputs]
    return Entry(name, _title(model.source.text), ", ".join(shapes), found.params, found.macs)


def _title(text: str) -> str:
    """The first sentence of a file's first comment."""
    for line in text.splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").partition(". ")[0].rstrip(". ")
    return ""
