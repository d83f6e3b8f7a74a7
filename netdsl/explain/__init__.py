"""The long story of every diagnostic code: ``N0203.md`` beside this module tells that of N0203.

A story is Markdown: what the code means, an example that gives it, and what usually helps. Of the example, a ``net``
block is a file ``net.net``, and a ``sh`` block the command that shows the code (``netdsl check net.net`` where there is
none). A test runs them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from netdsl.diagnostics import Code, UserError, did_you_mean

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Story:
    """What there is to say of one code. ``net`` and ``command`` are its example, empty where it has none."""

    code: Code
    text: str
    net: str = ""
    command: str = ""


def tell(code: Code) -> Story:
    """The story of a code."""
    text = files(__name__).joinpath(f"{code.id}.md").read_text(encoding="utf-8")
    blocks = dict(_BLOCK.findall(text))
    command = blocks.get("sh", "").strip()
    if "net" in blocks and not command:
        command = "netdsl check net.net"
    return Story(code, text, blocks.get("net", ""), command)


def find_code(identifier: str) -> Code:
    """The code that a user means: ``N0203``, ``n203``, ``203`` or ``shape_mismatch``. Raises UserError."""
    wanted = identifier.strip().upper().removeprefix("N")
    padded = f"N{wanted.zfill(4)}"
    named = identifier.strip().upper().replace("-", "_")
    for code in Code:
        if padded == code.id or named == code.name:
            return code
    raise UserError.of(
        Code.BAD_OPTION,
        f"there is no code `{identifier}`",
        help=did_you_mean(
            padded if wanted.isdigit() else named,
            [item.id if wanted.isdigit() else item.name for item in Code],
            otherwise="`netdsl explain` lists all codes",
        ),
    )
