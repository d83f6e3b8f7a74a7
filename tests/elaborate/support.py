"""Short ways to elaborate a text."""

from __future__ import annotations

from typing import Any

import pytest

from netdsl.diagnostics import UserError
from netdsl.elaborate import Model, elaborate, load_program
from netdsl.source import Source


def build(text: str, net: str | None = None, **options: Any) -> Model:
    return elaborate(load_program(Source("test.net", text)), net, **options)


def net(body: str, before: str = "", **options: Any) -> Model:
    """A net over one [3, 16, 16] image called ``image``."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return build(f"{before}\nnet Test {{\n    input image: [3, 16, 16]\n{lines}\n}}\n", **options)


def layers(model: Model) -> list[str]:
    return [node.name for node in model.graph.layers]


def weights(model: Model) -> list[str]:
    return [node.name for node in model.graph.params]


def shape(model: Model, output: str) -> tuple[int, ...]:
    return model.graph.outputs[output].type.shape


def codes(text: str, net: str | None = None, **options: Any) -> list[str]:
    """The codes of the errors in a text."""
    with pytest.raises(UserError) as caught:
        build(text, net, **options)
    return [item.code.id for item in caught.value.diagnostics]
