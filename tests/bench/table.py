"""Results of measurements against other programs as text and as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from tests.bench.clocks import CLOCKS, WALL, milliseconds
from tests.bench.peers import OURS

Result = Mapping[str, Any]

AGREEMENT = "Outputs agree within {:g} of the largest element."


def best_peer(programs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fastest of the others and its time over ours; both None where there is none."""
    times = {title: milliseconds(found) for title, found in programs.items() if title != OURS}
    timed = {title: time for title, time in times.items() if time is not None}
    ours = milliseconds(programs[OURS])
    if not timed or ours is None:
        return {"best_peer": None, "ratio": None}
    best = min(timed, key=lambda title: timed[title])
    return {"best_peer": best, "ratio": timed[best] / ours}


def plain(result: Result, clock: str = WALL) -> str:
    """One network at one setting, program by program."""
    spread = "10-90 %" if clock == WALL else ""
    lines = [f"{result['network']}, {_setting(result)}"]
    lines.append(f"  {'':24}{CLOCKS[clock].unit:>14}{spread:>20}  difference")
    for title, found in result["programs"].items():
        if "failed" in found:
            lines.append(f"  {title:24}{found['failed']}")
            continue
        spread = f"{found['low']:.3f} - {found['high']:.3f}" if "low" in found else ""
        mark = "  best peer" if title == result["best_peer"] else ""
        lines.append(f"  {title:24}{milliseconds(found):14.3f}{spread:>20}  {found['difference']:.1e}{mark}")
    if result["best_peer"]:
        lines.append(f"  best peer / netdsl {result['ratio']:.2f}")
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> str:
    """Geometric means over the networks, setting by setting."""
    return "\n".join(f"{setting}: {_means(rows)}" for setting, rows in _settings(results))


def markdown(document: Mapping[str, Any], agreement: str = AGREEMENT, compared: str = "outputs") -> str:
    """The whole document: the machine, one table a setting, and why cells are empty."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {found or 'not installed'}" for name, found in machine["versions"].items())
    parts = [
        f"{machine['processor']} ({machine['vectors']}), {machine['cores']} cores, {machine['system']}. {versions}.",
        f"`{document['command']}`",
        f"{CLOCKS[document['clock']].words}; the best peer in bold. {agreement.format(document['tolerance'])}",
    ]
    for setting, rows in _settings(document["results"]):
        parts += [f"**{setting[0].upper()}{setting[1:]}**", _table(rows), f"{_means(rows)}."]
    return "\n\n".join([*parts, _differences(document["results"], compared), *_failures(document["results"])]) + "\n"


def _settings(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    ordered = sorted(results, key=lambda result: (result.get("batch", 0), result["threads"]))
    return [(setting, list(rows)) for setting, rows in groupby(ordered, _setting)]


def _setting(result: Result) -> str:
    """Networks that each have a batch of their own share a setting."""
    batch = f"batch {result['batch']}, " if "batch" in result else ""
    return f"{batch}{result['threads']} thread{'s' if result['threads'] != 1 else ''}"


def _means(rows: Sequence[Result]) -> str:
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    if not ratios:
        return "no peer ran"
    mean, least = statistics.geometric_mean(ratios), min(ratios)
    return f"best peer / netdsl: geometric mean {mean:.2f}, least {least:.2f}, over {len(ratios)} networks"


def _table(rows: Sequence[Result]) -> str:
    titles = list(dict.fromkeys(title for row in rows for title in row["programs"]))
    lines = heading(*titles, "best peer / netdsl")
    for row in rows:
        cells = [_cell(row["programs"].get(title), bold=title == row["best_peer"]) for title in titles]
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(row_of([row["network"], *cells, ratio]))
    return "\n".join(lines)


def _cell(found: Mapping[str, Any] | None, *, bold: bool) -> str:
    if found is None or "failed" in found:
        return "–"
    time = _number(found.get("median", found.get("least")))
    spread = f" ({_number(found['low'])}–{_number(found['high'])})" if "low" in found else ""
    return f"**{time}**{spread}" if bold else f"{time}{spread}"


def _number(milliseconds: float) -> str:
    """Three significant digits."""
    return f"{milliseconds:.3g}" if milliseconds < 1000 else f"{milliseconds:.0f}"


def _differences(results: Sequence[Result], compared: str) -> str:
    largest: dict[str, float] = {}
    for row in results:
        for title, found in row["programs"].items():
            if "failed" not in found and title != OURS:
                largest[title] = max(largest.get(title, 0.0), found["difference"])
    found = ", ".join(f"{title} {difference:.0e}" for title, difference in largest.items())
    return f"Largest difference of {compared} to netdsl's: {found}."


def _failures(results: Sequence[Result]) -> list[str]:
    failed = [
        f"- {row['network']}, {_setting(row)}, {title}: {found['failed']}"
        for row in results
        for title, found in row["programs"].items()
        if "failed" in found
    ]
    return ["Not measured:\n\n" + "\n".join(failed)] if failed else []


def heading(*titles: str) -> list[str]:
    """The first two lines of a table whose first column is of names."""
    return [row_of(["", *titles]), row_of(["---", *["---:"] * len(titles)])]


def row_of(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
