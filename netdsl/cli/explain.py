"""``netdsl explain``: what a diagnostic code means."""

from __future__ import annotations

import re
import textwrap

import click

from netdsl.cli.common import print_json, session_of
from netdsl.cli.options import json_option
from netdsl.diagnostics import Code
from netdsl.explain import Story, find_code, tell

_WIDTH = 100


@click.command(
    epilog="""\b
Examples:
  netdsl explain
  netdsl explain N0203
  netdsl explain shape_mismatch
  netdsl explain N0203 --json"""
)
@click.argument("code", metavar="[CODE]", required=False)
@json_option
@click.pass_context
def command(context: click.Context, code: str | None) -> None:
    """Tell the long story of a diagnostic code, or list all codes.

    CODE is what stands in brackets behind `error` or `warning`: N0203. Each story has an example and what helps.
    """
    as_json = session_of(context).json
    if code is None:
        _list_codes(as_json)
        return
    story = tell(find_code(code))
    if as_json:
        print_json(_document(story))
        return
    print(f"{story.code.id}: {story.code.summary}\n")
    print(plain_text(story.text), end="")
    if story.command:
        print(f"\nTo see it: {story.command}")


def _list_codes(as_json: bool) -> None:
    if as_json:
        print_json({"codes": [{"code": item.id, "name": item.name, "summary": item.summary} for item in Code]})
        return
    for item in Code:
        print(f"{item.id}  {item.summary}")


def _document(story: Story) -> dict[str, object]:
    code = story.code
    return {
        "code": code.id, "name": code.name, "summary": code.summary, "text": story.text,
        "example": {"net": story.net or None, "command": story.command or None},
    }  # fmt: skip


def plain_text(markdown: str) -> str:
    """A story for a terminal: paragraphs wrapped, blocks indented, commands left to the last line."""
    markdown = re.sub(r"^```sh\n.*?^```\n\n?", "", markdown, flags=re.MULTILINE | re.DOTALL)
    parts = []
    for number, part in enumerate(re.split(r"^```\w*\n", markdown, flags=re.MULTILINE)):
        if number % 2:
            parts.append(textwrap.indent(part.rstrip(), "    "))
        else:
            paragraphs = [" ".join(paragraph.split()) for paragraph in part.split("\n\n")]
            parts += [textwrap.fill(paragraph, _WIDTH) for paragraph in paragraphs if paragraph]
    return "\n\n".join(parts) + "\n"
