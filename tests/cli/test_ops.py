"""``netdsl ops``."""

from __future__ import annotations

import pytest

from netdsl.ops.base import Arg, Kind, all_ops
from netdsl.ops.manual import default_text, entries, kind_text
from tests.cli.conftest import Netdsl

OPS = [name for name, op in all_ops().items() if not op.internal]


def test_list(netdsl: Netdsl) -> None:
    ended = netdsl("ops")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == OPS
    assert all(len(line.split(maxsplit=1)) == 2 for line in ended.out.splitlines())


@pytest.mark.parametrize("name", OPS)
def test_every_entry_says_what_there_is_to_say(netdsl: Netdsl, name: str) -> None:
    text = netdsl("ops", name).out
    op = all_ops()[name]
    assert len(op.manual) > 20
    for arg in op.args:
        assert arg.doc or arg.words, f"`{arg.name}` of `{name}` has no line in the manual"
        assert f"  {arg.name} " in text
    assert max(map(len, text.splitlines())) <= 140


def test_conv(netdsl: Netdsl) -> None:
    text = netdsl("ops", "conv").out
    assert text.startswith("x -> conv(channels, kernel, stride=1, pad=0, dilation=1, groups=1, bias=yes, round=floor")
    assert "LeCun" in text and "Parameters: `weight`" in text and "required" in text


def test_json(netdsl: Netdsl) -> None:
    listed = netdsl("ops", "--json").json["ops"]
    assert [item["name"] for item in listed] == OPS
    conv = netdsl("ops", "conv", "--json").json["op"]
    [stride] = [arg for arg in conv["arguments"] if arg["name"] == "stride"]
    assert (stride["kind"], stride["required"], stride["default"], stride["minimum"]) == ("size", False, "1", 1)


def test_unknown(netdsl: Netdsl) -> None:
    ended = netdsl("ops", "convv")
    assert ended.code == 1 and "error[N0401]" in ended.err and "did you mean `conv`?" in ended.err
    assert netdsl("ops", "param").code == 1


def test_texts() -> None:
    assert default_text(Arg("a", Kind.SIZE, (1, 3))) == "1x3"
    assert default_text(Arg("a", Kind.BOOL, True)) == "yes"
    assert default_text(Arg("a", Kind.FLOAT, 0.5)) == "0.5"
    assert kind_text(Arg("a", Kind.FLOAT, 0.5, minimum=0, maximum=1)) == "a number, at least 0, at most 1"
    assert kind_text(Arg("a", Kind.WORD, "b", ("b", "c"))) == "`b` or `c`"
    assert all(entry.signature.startswith(entry.op.name) for entry in entries())
