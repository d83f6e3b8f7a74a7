"""A slice of what ``tests/bench/fuzz_check.py`` does at length, and what it found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.fuzz_check import check_bytes, corpus, file_bytes

SLICE = 300


def test_random_and_mutated_files_end_as_documented(tmp_path: Path) -> None:
    texts = corpus()
    for number in range(SLICE):
        what, detail = check_bytes(file_bytes(7, number, texts), tmp_path / "file.net")
        assert what.startswith("exit"), (number, what, detail)


FOUND = {
    "a loop in a loop": "for i in range(1000) { for j in range(1000) { k = i * j } }",
    "an error in a loop in a loop": "for i in range(1000) { for j in range(1000) { k = a * b } }",
    "an error in every stage": "y = image" + " -> nowhere" * 5000,
    "a very long repetition": "y = image -> (conv(3, 1x1) -> bn -> relu) * 100000",
}


@pytest.mark.parametrize("what", FOUND)
def test_what_took_too_long(what: str, tmp_path: Path) -> None:
    text = f"net A {{\n    input image: [3, 8, 8]\n    {FOUND[what]}\n    output z = image -> relu\n}}\n"
    found, detail = check_bytes(text.encode(), tmp_path / "file.net")
    assert found in ("exit 1", "exit 4"), detail
