"""Layered layout of a directed acyclic graph: ranks, and the order within each rank.

Ranks are longest paths. An edge over several ranks passes through a waypoint in each rank between; edges of one
source and value share theirs. The order within ranks comes from barycentres swept down and up, the one with the
fewest crossings kept. Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures", IEEE Transactions on Systems, Man, and Cybernetics 11 (1981).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

SWEEPS = 6
MAX_WAYPOINTS = 20_000
"""The longest edges beyond so many pass without waypoints, straight behind what lies between."""
MAX_COUNTED = 4_000
"""Links of a graph whose crossings are still counted; beyond, the last sweep's order stands."""


class Edge(NamedTuple):
    """From item ``source`` to item ``target``; ``value`` is what flows (edges of one source may share it)."""

    source: int
    target: int
    value: int


@dataclass(frozen=True)
class Arrangement:
    """``ranks`` lists the items of each rank from left to right; items from ``count`` on are waypoints.

    ``routes`` has for each edge the waypoints it passes, from source to target.
    """

    count: int
    ranks: list[list[int]]
    routes: list[list[int]]


def arrange(count: int, edges: Sequence[Edge], first: frozenset[int], last: frozenset[int]) -> Arrangement:
    """Lay out items 0 ... count - 1; ``first`` and ``last`` take the outer ranks. Raises ValueError for a cycle."""
    rank = _ranks(count, edges, first, last)
    rows: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
    for item in range(count):
        rows[rank[item]].append(item)
    routes, links = _routes(count, edges, rank, rows)
    return Arrangement(count, _ordered(rows, links), routes)


def _ranks(count: int, edges: Sequence[Edge], first: frozenset[int], last: frozenset[int]) -> list[int]:
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for edge in edges:
        before[edge.target].append(edge.source)
        after[edge.source].append(edge.target)
    rank = [0] * count
    for item in _topological(before, after):
        rank[item] = max((rank[source] + 1 for source in before[item]), default=1 if first else 0)
        if item in first:
            rank[item] = 0
    for item in range(count):  # what has no source stands just above its reader
        if not before[item] and after[item] and item not in first:
            rank[item] = min(rank[target] for target in after[item]) - 1
    end = max((rank[item] for item in range(count) if item not in last), default=-1) + 1
    for item in last:
        rank[item] = end
    used = {number: position for position, number in enumerate(sorted(set(rank)))}
    return [used[number] for number in rank]


def _topological(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> list[int]:
    waits = [len(sources) for sources in before]
    order = [item for item, count in enumerate(waits) if not count]
    for item in order:  # grows while it is walked
        for target in after[item]:
            waits[target] -= 1
            if not waits[target]:
                order.append(target)
    if len(order) < len(waits):
        raise ValueError("a cycle has no layers")
    return order


Links = list[tuple[int, int]]
"""(item, item in the next rank) pairs."""


def _routes(count: int, edges: Sequence[Edge], rank: list[int], rows: list[list[int]]) -> tuple[list[list[int]], Links]:
    """Waypoints of each edge (put into ``rows``), and all links between neighbouring ranks."""
    trunks: dict[tuple[int, int], list[int]] = {}
    routes: list[list[int]] = [[] for _ in edges]
    links: dict[tuple[int, int], None] = {}
    made = 0
    for number in sorted(range(len(edges)), key=lambda n: rank[edges[n].target] - rank[edges[n].source]):
        source, target, value = edges[number]
        trunk = trunks.setdefault((source, value), [])
        needed = rank[target] - rank[source] - 1
        if made + needed - len(trunk) > MAX_WAYPOINTS:
            continue
        while len(trunk) < needed:
            waypoint = count + made
            links[trunk[-1] if trunk else source, waypoint] = None
            rows[rank[source] + len(trunk) + 1].append(waypoint)
            trunk.append(waypoint)
            made += 1
        routes[number] = trunk[:needed]
        links[trunk[needed - 1] if needed else source, target] = None
    return routes, list(links)


def _ordered(rows: list[list[int]], links: Links) -> list[list[int]]:
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for upper, lower in links:
        below.setdefault(upper, []).append(lower)
        above.setdefault(lower, []).append(upper)
    counted = len(links) <= MAX_COUNTED
    best, fewest = [list(row) for row in rows], _crossings(rows, below) if counted else 1
    for sweep in range(SWEEPS if fewest else 0):
        down = sweep % 2 == 0
        numbers = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for number in numbers:
            fixed = rows[number - 1 if down else number + 1]
            _sort_row(rows[number], fixed, above if down else below)
        crossings = _crossings(rows, below) if counted else 1
        if crossings < fewest or not counted:
            best, fewest = [list(row) for row in rows], crossings
        if not crossings:
            break
    return best


def _sort_row(row: list[int], fixed: list[int], neighbours: dict[int, list[int]]) -> None:
    """Order ``row`` by the mean place of neighbours in ``fixed``; an item without any keeps its place."""
    place = {item: position for position, item in enumerate(fixed)}
    scale = len(fixed) / max(len(row), 1)
    wish = {}
    for position, item in enumerate(row):
        places = [place[other] for other in neighbours.get(item, ()) if other in place]
        wish[item] = sum(places) / len(places) if places else position * scale
    row.sort(key=wish.__getitem__)


def _crossings(rows: list[list[int]], below: dict[int, list[int]]) -> int:
    """Pairs of links that cross."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {item: position for position, item in enumerate(lower)}
        seen: list[int] = []
        for item in upper:
            ends = [place[other] for other in below.get(item, ()) if other in place]
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


# -- places along a rank -----------------------------------------------------------------------------


def spread(wishes: Sequence[float], gaps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Places p with p[i+1] - p[i] >= gaps[i] that minimize sum of weights[i] (p[i] - wishes[i])^2.

    Least squares under an order: blocks of neighbours that would overlap are pooled (Barlow et al. 1972).
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for wish, offset, weight in zip(wishes, offsets, weights, strict=False):
        mean, members = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, heft, size = pools.pop()
            mean = (mean * weight + other * heft) / (weight + heft)
            weight, members = weight + heft, members + size
        pools.append((mean, weight, members))
    means = [mean for mean, _, members in pools for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]
