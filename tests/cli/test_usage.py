"""Wrong usage ends with 2 and says what would be right; help is there for everything."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from netdsl.cli.common import Session
from netdsl.cli.main import VERBS, cli
from tests.cli.conftest import Netdsl


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["chekc"], "Did you mean `check`?"),
        (["zzzzzz"], "Verbs: check"),
        (["report", "--jsn", "x.net"], "--json"),
        (["report"], "FILE"),
        (["report", "x.net", "--size", "12"], "224x224"),
        (["report", "x.net", "--size", "0x5"], "224x224"),
        (["report", "x.net", "--set", "classes"], "name=value"),
        (["report", "x.net", "--set", "a=1", "--set", "a=2"], "two values"),
        (["report", "x.net", "--batch", "0"], "--batch"),
        (["report", "x.net", "--batch", "many"], "--batch"),
        (["compile", "x.net", "--emit", "assembly"], "asm"),
        (["check"], "FILE"),
    ],
)
def test_wrong_usage(netdsl: Netdsl, arguments: list[str], hint: str) -> None:
    ended = netdsl(*arguments)
    assert ended.code == 2
    assert hint in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err


def test_help_names_every_verb(netdsl: Netdsl) -> None:
    for flag in ("-h", "--help"):
        ended = netdsl(flag)
        assert ended.code == 0
        assert all(verb in ended.out for verb in VERBS)
    assert netdsl("--version").out.startswith("netdsl ")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples(verb: str) -> None:
    ended = CliRunner().invoke(cli, [verb, "-h"], obj=Session())
    assert ended.exit_code == 0
    assert "Examples:" in ended.output
    assert f"netdsl {verb}" in ended.output


@pytest.mark.parametrize("verb", ["check", "report", "compile", "train", "eval", "predict"])
def test_a_verb_without_its_file(netdsl: Netdsl, verb: str) -> None:
    ended = netdsl(verb)
    assert ended.code == 2
    assert "FILE" in ended.err
