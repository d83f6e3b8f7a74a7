"""Where the boxes of a figure stand: ranks from left to right, and heights by their neighbours.

A network that comes back to larger maps (an encoder and decoder) hangs each box at the height of its resolution, so
that its skips run level and its path is the U of the paper: Ronneberger, Fischer and Brox, MICCAI 2015.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from netdsl.report.figure.parts import Box, Diagram
from netdsl.report.layered import Arrangement, Edge, arrange, spread

SWEEPS = 24
SETTLING = 8
STEP = 34.0
"""Between ranks."""
LANE = 16.0
"""Between boxes of one rank."""
ENLARGING = frozenset(("deconv", "upsample"))
TRIMMING = frozenset(("crop", "pad"))
BOX_WEIGHT = 1000.0
"""Boxes of a U stay at their level; what passes them gives way."""
LEVEL = 150.0
"""Between resolutions of a U."""


@dataclass(frozen=True)
class Extent:
    """Room of a box or waypoint around its middle line."""

    width: float
    above: float
    below: float


@dataclass(frozen=True)
class Places:
    """For each item (boxes, then waypoints) its left side and middle line; ``routes`` as in Arrangement."""

    left: list[float]
    middle: list[float]
    widths: list[float]
    routes: list[list[int]]


def places(diagram: Diagram, extents: Sequence[Extent]) -> Places:
    """Places of everything."""
    edges = [Edge(source, target, source) for source, target in diagram.edges]
    layout = arrange(len(diagram.boxes), edges, frozenset(), frozenset())
    waypoints = sum(map(len, layout.ranks)) - len(diagram.boxes)
    room = [*extents, *[Extent(0, 5, 5)] * waypoints]
    left, widths = _across(layout, room)
    levels = _levels(diagram, layout, edges)
    return Places(left, _along(layout, edges, room, levels), widths, layout.routes)


def _across(layout: Arrangement, room: Sequence[Extent]) -> tuple[list[float], list[float]]:
    """Left sides, and widths in which waypoints take their whole rank."""
    left, widths = [0.0] * len(room), [item.width for item in room]
    x = 0.0
    for rank in layout.ranks:
        width = max(room[item].width for item in rank)
        for item in rank:
            if item >= layout.count:
                widths[item] = width
            left[item] = x + (width - widths[item]) / 2
        x += width + STEP
    return left, widths


# -- heights -----------------------------------------------------------------------------------------


def _levels(diagram: Diagram, layout: Arrangement, edges: Sequence[Edge]) -> list[float] | None:
    """The height at which each item hangs in a U; None where maps never grow again.

    What enlarges a map hangs with what it enlarges, so that skips arrive above it.
    """
    if not any(box.op in ENLARGING for box in diagram.boxes):
        return None
    sources: dict[int, int] = {}
    for edge in edges:
        sources.setdefault(edge.target, edge.source)
    level = [0] * len(diagram.boxes)
    hung = list(level)
    for number, box in enumerate(diagram.boxes):
        if number in sources:
            before = sources[number]
            level[number] = level[before] + _halvings(diagram.boxes[before], box)
            hung[number] = level[before] if box.op in ENLARGING else level[number]
    heights = [LEVEL * number for number in hung] + [0.0] * (sum(map(len, layout.ranks)) - len(hung))
    for edge, route in zip(edges, layout.routes, strict=True):
        for waypoint in route:
            heights[waypoint] = heights[edge.source]
    return heights


def _halvings(before: Box, box: Box) -> int:
    """How often the map was halved on the way, doublings negative. Cutting a border off is neither."""
    sizes = _size(before), _size(box)
    if box.op in TRIMMING or not all(sizes):
        return 0
    return round(math.log2(sizes[0] / sizes[1]))


def _size(box: Box) -> float:
    """Edge of the map, 0 for what has none."""
    return math.sqrt(box.shape[1] * box.shape[2]) if len(box.shape) == 3 else 0.0


Neighbours = list[list[tuple[int, float]]]


def _along(
    layout: Arrangement, edges: Sequence[Edge], room: Sequence[Extent], levels: Sequence[float] | None
) -> list[float]:
    """Middle lines: levels where there are any, else near the neighbours' in sweeps back and forth."""
    middle = [0.0] * len(room)
    before, after = _neighbours(layout, edges, room)
    if levels is not None:
        for rank in layout.ranks:
            rank.sort(key=lambda item: levels[item])
            weights = [BOX_WEIGHT if item < layout.count else 1.0 for item in rank]
            _settle(rank, [levels[item] for item in rank], weights, room, middle)
        return middle
    for rank in layout.ranks:
        _settle(rank, [0.0] * len(rank), [1.0] * len(rank), room, middle)
    for sweep in range(SWEEPS):
        settling = sweep >= SWEEPS - SETTLING
        sides = [before, after] if settling else [after if sweep % 2 else before]
        for rank in reversed(layout.ranks) if sweep % 2 else layout.ranks:
            if len(rank) == 1:  # where all paths meet: the spine, which keeps a long network level
                continue
            wishes = [_wish(item, sides, middle) for item in rank]
            _settle(rank, [place for place, _ in wishes], [weight for _, weight in wishes], room, middle)
    _straighten(layout.ranks, before, after, room, middle)
    return middle


def _straighten(
    ranks: Sequence[Sequence[int]], before: Neighbours, after: Neighbours, room: Sequence[Extent], middle: list[float]
) -> None:
    """Put chains (one reader each, which reads nothing else) on one line, as far as their neighbours let them."""

    def follows(item: int) -> bool:
        return len(before[item]) == 1 and len(after[before[item][0][0]]) == 1

    bounds: dict[int, tuple[int | None, int | None]] = {}
    for rank in ranks:
        for above, item, below in zip([None, *rank], rank, [*rank[1:], None], strict=False):
            bounds[item] = above, below
    for first in (item for rank in ranks for item in rank if not follows(item)):
        chain = [first]
        while len(after[chain[-1]]) == 1 and follows(after[chain[-1]][0][0]):
            chain.append(after[chain[-1]][0][0])
        _align(chain, bounds, room, middle)


def _align(
    chain: Sequence[int],
    bounds: Mapping[int, tuple[int | None, int | None]],
    room: Sequence[Extent],
    middle: list[float],
) -> None:
    low, high = -math.inf, math.inf
    for item in chain:
        above, below = bounds[item]
        if above is not None:
            low = max(low, middle[above] + room[above].below + room[item].above + LANE)
        if below is not None:
            high = min(high, middle[below] - room[item].below - room[below].above - LANE)
    if low > high:
        half = len(chain) // 2
        if not half:
            return
        _align(chain[:half], bounds, room, middle)
        _align(chain[half:], bounds, room, middle)
        return
    alone = [middle[item] for item in chain if bounds[item] == (None, None)]
    wish = alone[0] if alone else sum(middle[item] for item in chain) / len(chain)
    for item in chain:
        middle[item] = min(max(wish, low), high)


def _wish(item: int, sides: Sequence[Neighbours], middle: Sequence[float]) -> tuple[float, float]:
    """(place, weight)."""
    links = [link for side in sides for link in side[item]]
    weight = sum(heft for _, heft in links)
    if not weight:
        return middle[item], 0.1
    return sum(heft * middle[other] for other, heft in links) / weight, weight


def _settle(
    rank: Sequence[int], wishes: Sequence[float], weights: Sequence[float], room: Sequence[Extent], middle: list[float]
) -> None:
    gaps = [room[a].below + room[b].above + LANE for a, b in pairwise(rank)]
    for item, place in zip(rank, spread(wishes, gaps, weights), strict=True):
        middle[item] = place


def _neighbours(layout: Arrangement, edges: Sequence[Edge], room: Sequence[Extent]) -> tuple[Neighbours, Neighbours]:
    before: Neighbours = [[] for _ in room]
    after: Neighbours = [[] for _ in room]
    links: dict[tuple[int, int], None] = {}
    for edge, route in zip(edges, layout.routes, strict=True):
        path = [edge.source, *route, edge.target]
        links.update(dict.fromkeys(pairwise(path)))
    for a, b in links:
        heft = 1.0 + 7.0 * ((a >= layout.count) + (b >= layout.count))
        before[b].append((a, heft))
        after[a].append((b, heft))
    return before, after
