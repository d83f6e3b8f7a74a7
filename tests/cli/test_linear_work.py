"""Work grows as a file does and no faster: calls of functions are counted, so a busy machine does not matter.

Loops inside built-in functions are not seen; what is looped over in Python is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from netdsl.driver import Build, Origin, load, report
from netdsl.report.findings import warnings_of
from netdsl.source import Source
from netdsl.syntax.format import format_source

LAYERS = (1000, 2000, 4000)
SLACK = 1.15
"""Lists that grow, and caches that fill, make the steps a little uneven."""


def network(layers: int) -> str:
    """A chain of residual units, three layers and a join a line."""
    units = [
        f"    u{n + 1} = add(u{n}, u{n} -> conv(8, 3x3, pad=same, bias=no) -> bn) -> relu" for n in range(layers // 4)
    ]
    return "\n".join(["net Long {", "    input u0: [8, 16, 16]", *units, f"    output y = u{layers // 4}", "}", ""])


def events(run: Callable[[], Any]) -> int:
    """Calls of Python and built-in functions while ``run`` works."""
    count = 0

    def step(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(step)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def _check(path: Path) -> None:
    warnings_of(load(Origin(str(path))))


def _report(path: Path) -> None:
    report(load(Origin(str(path))), Build(threads=2))


def _format(path: Path) -> None:
    format_source(Source(path.name, path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("work", "shorter"), [(_check, 1), (_report, 4), (_format, 1)])
def test_calls_grow_as_the_file_does(work: Callable[[Path], None], shorter: int, tmp_path: Path) -> None:
    lengths = [layers // shorter for layers in LAYERS]  # a report plans a whole training step
    paths = [tmp_path / f"{layers}.net" for layers in lengths]
    for path, layers in zip(paths, lengths, strict=True):
        path.write_text(network(layers), encoding="utf-8")
    work(paths[0])  # what is made once is made here
    first, second, third = (events(lambda path=path: work(path)) for path in paths)
    assert third - second < 2 * SLACK * (second - first), (first, second, third)
    assert third < 4 * SLACK * first, (first, second, third)
