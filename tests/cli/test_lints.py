"""``netdsl check``: lints, comments that allow them, and ``--strict``."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Netdsl, Write

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
