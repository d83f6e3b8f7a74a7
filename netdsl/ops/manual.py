"""The manual of the ops, from what the registry knows of them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from netdsl.diagnostics import Code, UserError, did_you_mean
from netdsl.ops.base import Arg, Kind, OpDef, all_ops


@dataclass(frozen=True)
class Entry:
    """One op as users see it. ``text`` is what it computes, its shapes, its parameters and where it comes from."""

    op: OpDef
    summary: str
    text: str

    @property
    def signature(self) -> str:
        """``conv(channels, kernel, stride=1, ...)``: what is written behind ``->``."""
        parts = [f"{name}=..." for name in self.op.shape_operands]
        written = [arg.name if arg.required else f"{arg.name}={default_text(arg)}" for arg in self.op.args]
        return f"{self.op.name}({', '.join([*written, *parts])})"

    @property
    def operands(self) -> str:
        """``x``, or ``x, y, ...`` where any number may be given."""
        return ", ".join(self.op.operands) + (", ..." if self.op.variadic else "")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.op.name,
            "signature": self.signature,
            "summary": self.summary,
            "operands": list(self.op.operands),
            "any_number": self.op.variadic,
            "shape_operands": list(self.op.shape_operands),
            "arguments": [_argument_json(arg) for arg in self.op.args],
            "text": self.text,
        }


def entries() -> list[Entry]:
    """Every op that a file can name, by name."""
    return [entry_of(op) for op in all_ops().values() if not op.internal]


def find_entry(name: str) -> Entry:
    """The entry of an op. Raises UserError with what was likely meant."""
    op = all_ops().get(name)
    if op is not None and not op.internal:
        return entry_of(op)
    help = did_you_mean(name, [entry.op.name for entry in entries()], otherwise="`netdsl ops` lists all ops")
    raise UserError.of(Code.UNKNOWN_OP, f"there is no op `{name}`", help=help)


def entry_of(op: OpDef) -> Entry:
    text = inspect.cleandoc(op.manual).replace("``", "`")
    first = re.split(r"(?<=[^.].)\.(?=\s|$)|:(?=\s)", " ".join(text.split()), maxsplit=1)[0]
    return Entry(op, first.rstrip(".;"), text)


def kind_text(arg: Arg) -> str:
    """What an argument may be: type, words and bounds."""
    words = " or ".join(f"`{word}`" for word in arg.words)
    if arg.kind is Kind.WORD:
        text = words
    elif words and arg.kind is not Kind.PAD:
        text = f"{arg.kind.value}, or {words}"
    else:
        text = arg.kind.value
    bounds = []
    if arg.minimum is not None:
        bounds.append(f"at least {arg.minimum:g}")
    if arg.maximum is not None:
        bounds.append(f"at most {arg.maximum:g}")
    return ", ".join([text, *bounds])


def default_text(arg: Arg) -> str:
    """A default as a file would say it; ``...`` where leaving the argument out has a meaning of its own."""
    value = arg.default
    if value is None:
        return "..."
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        if len(set(value)) == 1:
            return str(value[0])
        return "x".join(map(str, value)) if arg.kind is Kind.SIZE else str(value)
    return str(value)


def _argument_json(arg: Arg) -> dict[str, Any]:
    return {
        "name": arg.name,
        "kind": arg.kind.name.lower(),
        "accepts": kind_text(arg),
        "words": list(arg.words),
        "minimum": arg.minimum,
        "maximum": arg.maximum,
        "required": arg.required,
        "default": None if arg.required or arg.default is None else default_text(arg),
        "doc": arg.doc,
    }
