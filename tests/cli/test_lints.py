"""``netdsl check``: lints, comments that allow them, and ``--strict``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from tests.cli.conftest import Netdsl, Write

ZOO = sorted(Path(str(files("netdsl.zoo"))).glob("*/*.net"))
LINTS = sorted((Path(__file__).parents[1] / "errors").glob("N03*.net"))
BIAS = "net A {{\n    input image: [3, 8, 8]\n{above}    output y = image -> conv(8, 3x3) -> bn{behind}\n}}\n"


def test_warnings_end_with_0_and_strict_with_1(netdsl: Netdsl, write: Write) -> None:
    path = write(BIAS.format(above="", behind=""))
    lenient, strict = netdsl("check", path), netdsl("check", "--strict", path)
    assert lenient.code == 0 and "warning[N0307]" in lenient.err
    assert strict.code == 1 and "error[N0307]" in strict.err and "1 error, 0 warnings" in strict.out


@pytest.mark.parametrize(
    ("above", "behind", "quiet"),
    [
        ("", "  # allow N0307", True),
        ("    # allow N0307\n", "", True),
        ("    # allow N0301, N0307: published weights have it\n", "", True),
        ("", "  # allow N0301", False),
        ("    # allow N0307\n\n", "", False),
    ],
)
def test_a_comment_allows_a_warning(netdsl: Netdsl, write: Write, above: str, behind: str, quiet: bool) -> None:
    ended = netdsl("check", "--strict", write(BIAS.format(above=above, behind=behind)))
    assert ended.code == (0 if quiet else 1)
    assert ("N0307" in ended.err) is not quiet


def test_errors_are_never_allowed(netdsl: Netdsl, write: Write) -> None:
    ended = netdsl("check", write("net A { input x: [3, 8, 8]\n output y = x -> sofmax  # allow N0401\n}"))
    assert ended.code == 1 and "N0401" in ended.err


def test_batch(netdsl: Netdsl, write: Write) -> None:
    path = write("net A { input x: [8]\n output y = x -> fc(8, bias=no) -> bn }")
    assert "N0306" not in netdsl("check", path).err
    assert "N0306" not in netdsl("check", "--batch", 2, path).err
    assert "warning[N0306]" in netdsl("check", "--batch", 1, path).err


def test_gates_are_no_classifiers(netdsl: Netdsl) -> None:
    assert "N0310" not in netdsl("check", "zoo:se_resnet50", "zoo:resnet18").err


def test_heads_of_training_are_alive(netdsl: Netdsl) -> None:
    assert "N0308" not in netdsl("check", "zoo:googlenet").err


@pytest.mark.parametrize("verb", ["report", "draw"])
def test_other_verbs_know_what_is_allowed(netdsl: Netdsl, write: Write, verb: str) -> None:
    text = "net A {{\n input x: [1, 7, 7]\n output y = x -> maxpool(3x3, stride=3){}\n}}\n"
    assert "warning[N0302]" in netdsl(verb, write(text.format(""))).err
    ended = netdsl(verb, write(text.format("  # allow N0302")))
    assert ended.code == 0 and not ended.err


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_the_zoo_has_no_warning_but_those_it_allows(netdsl: Netdsl, path: Path) -> None:
    ended = netdsl("check", "--strict", path)
    assert ended.code == 0 and not ended.err


@pytest.mark.parametrize("case", LINTS, ids=lambda path: path.stem)
def test_every_lint_can_be_allowed_at_its_line(netdsl: Netdsl, write: Write, case: Path) -> None:
    text, code = case.read_text(encoding="utf-8"), case.stem.split("_")[0]
    batch = ["--batch", 1] if code == "N0306" else []
    found = netdsl("check", write(text), "--json", *batch).json["diagnostics"]
    lines = {item["primary"]["line"] for item in found if item["code"] == code}
    assert lines and {item["level"] for item in found} == {"warning"}
    commented = "".join(
        line.rstrip("\n") + (f"  # allow {code}\n" if number in lines else "\n")
        for number, line in enumerate(text.splitlines(keepends=True), 1)
    )
    again = netdsl("check", write(commented), "--json", *batch).json["diagnostics"]
    assert code not in {item["code"] for item in again}
