"""What FILE, FILE#Net and zoo:NAME mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.diagnostics import Code, UserError
from netdsl.elaborate import load_program
from netdsl.resolve import Reference, resolve, zoo_names


@pytest.mark.parametrize(
    ("text", "path", "net"),
    [
        ("a/b.net", "a/b.net", None),
        ("a/b.net#Net", "a/b.net", "Net"),
        ("dir#1/b.net", "dir#1/b.net", None),
        ("dir#1/b.net#Net", "dir#1/b.net", "Net"),
        ("#Net", "#Net", None),
    ],
)
def test_files(text: str, path: str, net: str | None) -> None:
    assert resolve(text) == Reference(Path(path), net)


def test_every_zoo_name_leads_to_a_net() -> None:
    for name in zoo_names():
        reference = resolve(f"zoo:{name}")
        assert reference.net in load_program(reference.path).nets


def test_unknown_zoo_names() -> None:
    with pytest.raises(UserError) as caught:
        resolve("zoo:resnet5")
    (item,) = caught.value.diagnostics
    assert item.code is Code.UNKNOWN_ZOO_NET and item.help is not None and "zoo:resnet" in item.help
