"""One line about a layer, as it stands in a figure: `3×3, 64, stride 2`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.ir.graph import Node


def summary(node: Node) -> str:
    """What tells the layer apart from others of its op; empty where there is nothing to tell."""
    attrs = node.attrs
    words = []
    if "kernel" in attrs:
        words.append(_pair(attrs["kernel"], always=True))
    words += [str(attrs[name]) for name in ("channels", "features") if name in attrs]
    if attrs.get("groups", 1) != 1:
        words.append(f"{attrs['groups']} groups")
    words += [f"{name} {_pair(attrs[name])}" for name in ("stride", "dilation") if attrs.get(name, (1, 1)) != (1, 1)]
    if any(_four(attrs.get("pad"))):
        words.append(f"pad {_pads(_four(attrs['pad']))}")
    return ", ".join(words)


def arguments(node: Node) -> dict[str, str]:
    """Every argument as text."""
    return {name: _text(value) for name, value in node.attrs.items()}


def sizes(shape: tuple[int, ...]) -> str:
    """``64×56×56``; a scalar is ``1``."""
    return "×".join(map(str, shape)) or "1"


def shape_text(shape: Sequence[int]) -> str:
    """``[64, 56, 56]``, as it stands in a file."""
    return f"[{', '.join(map(str, shape))}]"


def _pair(value: Any, always: bool = False) -> str:
    if not isinstance(value, tuple) or len(value) != 2:
        return str(value)
    return f"{value[0]}×{value[1]}" if always or value[0] != value[1] else str(value[0])


def _four(pad: Any) -> tuple[int, ...]:
    return pad if isinstance(pad, tuple) and len(pad) == 4 else ()


def _pads(pad: tuple[int, ...]) -> str:
    return str(pad[0]) if len(set(pad)) == 1 else ",".join(map(str, pad))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_text, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value)
