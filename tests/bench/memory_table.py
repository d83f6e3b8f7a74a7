"""Peak memory of the programs of a training benchmark, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.peers import OURS
from tests.bench.table import heading, row_of

Result = Mapping[str, Any]
MEBI = 2**20


def plain(result: Result) -> str:
    """One line of one network."""
    planned = _planned(result)
    parts = [f"{title} {_mebibytes(bytes)}" for title, bytes in _peaks(result).items()]
    return f"  MiB: planned {_mebibytes(planned)}; peaks above the start: {', '.join(parts)}"


def markdown(results: Sequence[Result]) -> str:
    """A table of the results at the least number of threads, to which memory owes little."""
    least = min(row["threads"] for row in results)
    rows = [row for row in results if row["threads"] == least]
    titles = list(dict.fromkeys(title for row in rows for title in _peaks(row)))
    lines = [
        "**Memory**",
        "MiB: what netdsl's plan says that arena and weights take, and the most that each process had in memory above "
        "what it had with its framework imported (with all that compiling took).",
        "\n".join(
            [
                *heading(f"{OURS}, planned", *titles, "least peer / planned"),
                *(row_of(_cells(row, titles)) for row in rows),
            ]
        ),
    ]
    return "\n\n".join(lines) + "\n"


def _cells(row: Result, titles: Sequence[str]) -> list[str]:
    peaks, planned = _peaks(row), _planned(row)
    others = [peak for title, peak in peaks.items() if title != OURS]
    ratio = f"{min(others) / planned:.2f}" if others and planned else "–"
    return [row["network"], _mebibytes(planned), *(_mebibytes(peaks.get(title)) for title in titles), ratio]


def _peaks(row: Result) -> dict[str, int]:
    found = {title: program.get("memory", {}).get("peak") for title, program in row["programs"].items()}
    return {title: peak for title, peak in found.items() if peak is not None}


def _planned(row: Result) -> int | None:
    planned: int | None = row["programs"][OURS].get("memory", {}).get("planned")
    return planned


def _mebibytes(number: int | None) -> str:
    return "–" if number is None else f"{number / MEBI:.0f}"
