"""A slice of what ``tests/bench/fuzz_check.py`` does at length, and what it found."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.elaborate import limits
from tests.bench import fuzz_check
from tests.bench.fuzz_files import corpus, file_bytes

SLICE = 300
STUCK = 60.0
"""Seconds of processor time; only what never ends takes longer. The two seconds that are promised are measured by
``python -m tests.bench.fuzz_check``: a test doesn't judge speed."""


def check_bytes(data: bytes, path: Path) -> tuple[str, str]:
    return fuzz_check.check_bytes(data, path, limit=STUCK)


def test_random_and_mutated_files_end_as_documented(tmp_path: Path) -> None:
    texts = corpus()
    for number in range(SLICE):
        what, detail = check_bytes(file_bytes(7, number, texts), tmp_path / "file.net")
        assert what.startswith("exit"), (number, what, detail)


_NET = "net N{} {{\n    input image: [3, 8, 8]\n    {}\n    output y = image -> relu\n}}\n"
FOUND = {
    "a loop in a loop": "for i in range(1000) { for j in range(1000) { k = i * j } }",
    "an error in a loop in a loop": "for i in range(1000) { for j in range(1000) { k = a * b } }",
    "an error in every stage": "y = image" + " -> nowhere" * 5000,
    "a very long repetition": "y = image -> (conv(3, 1x1) -> bn -> relu) * 100000",
}


_DENSE = "".join(f"x{n + 1} = concat(x{n}, x{n} -> conv(8, 3x3, pad=1))\n" for n in range(200))
SLOW = {
    "a wrong number in every word": "y = " + "1ge -> " * 20_000,
    "statements without a line between": "y = " + "not " * 190_000 + "yes",
    "a string as long as the file": 'y = "' + "a" * 1_000_000 + '"',
    "many inputs of open sizes": "".join(f"input i{n}: [3, H{n}, W{n}]\n" for n in range(10_000)),
    "a tensor of many axes": "input x: [" + "1, " * 3000 + "1]\n y = x -> relu * 2000",
    "a reshape to many axes": "y = image -> reshape([" + "1, " * 3000 + "192]) -> relu * 2000",
    "many unused names": "".join(f"a{n} = {n}\n" for n in range(40_000)),
    "many unknown arguments": "y = image -> conv(3, " + ", ".join(f"pid{n}=1" for n in range(40_000)) + ")",
}


@pytest.mark.parametrize("what", SLOW)
def test_what_took_five_seconds_or_more_or_all_memory(what: str, tmp_path: Path) -> None:
    text = f"net A {{\n    input image: [3, 8, 8]\n    {SLOW[what]}\n    output z = image -> relu\n}}\n"
    found, detail = check_bytes(text.encode(), tmp_path / "file.net")
    assert found in ("exit 0", "exit 1", "exit 4"), detail


def test_misspelled_names_beside_many_others(tmp_path: Path) -> None:
    text = "".join(f"block B{n} {{ in -> nowhere{n} }}\n" for n in range(15_000)) + _NET.format(0, "")
    found, detail = check_bytes(text.encode(), tmp_path / "file.net")
    assert found == "exit 1", detail


def test_open_sizes_of_several_large_networks(tmp_path: Path) -> None:
    text = "".join(
        f"net N{n} {{ input x0: [3, H, W]\n{_DENSE} output y = x200 -> avgpool(global) }}\n" for n in range(8)
    )
    found, detail = check_bytes(text.encode(), tmp_path / "file.net")
    assert found == "exit 0", detail


@pytest.mark.parametrize("what", FOUND)
def test_what_took_too_long(what: str, tmp_path: Path) -> None:
    text = f"net A {{\n    input image: [3, 8, 8]\n    {FOUND[what]}\n    output z = image -> relu\n}}\n"
    found, detail = check_bytes(text.encode(), tmp_path / "file.net")
    assert found in ("exit 1", "exit 4"), detail


SEVERAL = {
    "networks of many layers": "".join(
        _NET.format(n, "output z = image -> (conv(3, 1x1, bias=no) -> bn -> relu) * 1200") for n in range(12)
    ),
    "long loops": "".join(
        _NET.format(n, "for i in range(50) { for j in range(200) { k = i + j } }") for n in range(12)
    ),
    "many blocks and many nets": "".join(f"block B{n} {{ relu }}\n" for n in range(4000))
    + "".join(_NET.format(n, "") for n in range(2000)),
    "many constants and many nets": "".join(f"n{n} = {n}\n" for n in range(4000))
    + "".join(_NET.format(n, "") for n in range(2000)),
    "a chain of variants": _NET.format(0, "") + "".join(f"net N{n} = N{n - 1}\n" for n in range(1, 4000)),
    "a warning in every net": "".join(_NET.format(n, f"y{n} = image -> relu") for n in range(6000)),
    "long lists": _NET.format(0, "for i in range(300) { for j in range(200) { k = sum(range(10000)) } }"),
}


@pytest.mark.parametrize("what", SEVERAL)
def test_limits_hold_for_a_file_as_a_whole(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_NODES", limits.MAX_NODES // 4)  # no single net of these files reaches the limits
    monkeypatch.setattr(limits, "MAX_STEPS", limits.MAX_STEPS // 4)
    found, detail = check_bytes(SEVERAL[what].encode(), tmp_path / "file.net")
    assert found == "exit 4", detail


def test_errors_are_counted_for_a_file_as_a_whole(tmp_path: Path) -> None:
    text = "".join(_NET.format(n, "z = nowhere -> relu") for n in range(3000))
    found, detail = check_bytes(text.encode(), tmp_path / "file.net")
    assert found == "exit 1", detail
