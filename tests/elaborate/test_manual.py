"""The manual's snippets run. ```net is a whole file, ```net body the inside of a net, ```net error must fail."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from netdsl.diagnostics import UserError
from netdsl.elaborate import elaborate, load_program
from netdsl.source import Source
from netdsl.syntax import tree

MANUAL = files("netdsl.grammar").joinpath("README.md").read_text(encoding="utf-8")
SNIPPETS = [
    pytest.param(kind, text, id=f"{kind or 'file'}-{number}")
    for number, (kind, text) in enumerate(re.findall(r"^```net ?(\w*)\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL))
]
# (sizes are those of the symbolic snippets; a net without symbols is given none)
SIZE = (32, 32)


def run(text: str) -> None:
    module = load_program(Source("manual.net", text))
    for name, item in module.nets.items():
        if isinstance(item, tree.Net) and any(parameter.default is None for parameter in item.parameters):
            continue
        symbolic = "[3, H, W]" in item.span.text
        assert elaborate(module, name, image_size=SIZE if symbolic else None).warnings == ()


@pytest.mark.parametrize(("kind", "text"), SNIPPETS)
def test_snippet(kind: str, text: str) -> None:
    if kind == "body":
        text = f"net Example {{\ninput image: [3, 64, 64]\n{text}}}\n"
    if kind != "error":
        run(text)
        return
    with pytest.raises(UserError):
        run(text)
