"""``netdsl diff``: what changed between two networks."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from netdsl.cli.common import print_json, session_of
from netdsl.cli.options import Bindings, bindings_options, json_option
from netdsl.driver import load


@click.command(
    epilog="""\b
Examples:
  netdsl diff old.net new.net
  netdsl diff zoo:resnet18 zoo:resnet34
  netdsl diff --json models.net#Small models.net#Large
  netdsl diff --exit-code old.net new.net && echo "the same network"
"""
)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@bindings_options
@click.option("--exit-code", "strict", is_flag=True, help="End with 1 if any layer differs.")
@json_option
@click.pass_context
def command(context: click.Context, before: str, after: str, bindings: Bindings, strict: bool) -> None:
    """Show what changed from network A to network B, by layer, with the numbers.

    Layers are compared by their names, which are those of the weights.
    """
    from netdsl.report.difference import difference, difference_text

    models = [load(bindings.origin(file)) for file in (before, after)]
    found = difference(*models)
    if session_of(context).json:
        print_json(asdict(found))
    else:
        sys.stdout.write(difference_text(found))
    context.exit(1 if strict and not found.empty else 0)
