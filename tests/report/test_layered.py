"""Ranks, orders and places of layered layouts; blocks that fold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.driver import Origin, load
from netdsl.report.blocks import Block, Leaf, block_tree, leaves_of, owners
from netdsl.report.layered import Arrangement, Edge, arrange, spread
from tests.report.networks import RESIDUAL

NONE: frozenset[int] = frozenset()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    count = draw(st.integers(1, 12))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    found = draw(st.lists(pairs, unique=True, max_size=24)) if count > 1 else []
    return count, [Edge(source, target, source) for source, target in found]


def ranks_of(layout: Arrangement) -> dict[int, int]:
    return {item: rank for rank, row in enumerate(layout.ranks) for item in row}


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_edges_go_down_one_rank_at_a_time(graph: tuple[int, list[Edge]]) -> None:
    count, edges = graph
    layout = arrange(count, edges, NONE, NONE)
    rank = ranks_of(layout)
    assert sorted(rank) == list(range(sum(map(len, layout.ranks))))
    assert all(layout.ranks)
    for edge, route in zip(edges, layout.routes, strict=True):
        path = [rank[item] for item in (edge.source, *route, edge.target)]
        assert path == list(range(path[0], path[0] + len(path)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 30), st.floats(0.1, 9)), min_size=1, max_size=9))
def test_places_keep_their_gaps(rows: list[tuple[float, float, float]]) -> None:
    wishes, gaps, weights = ([row[i] for row in rows] for i in range(3))
    places = spread(wishes, gaps[1:], weights)
    assert len(places) == len(rows)
    assert all(b - a >= gap - 1e-6 for a, b, gap in zip(places, places[1:], gaps[1:], strict=False))


def test_places_are_the_wishes_where_these_fit() -> None:
    assert spread([0, 10, 30], [5, 5], [1, 1, 1]) == [0, 10, 30]
    assert spread([10, 10], [4], [1, 1]) == [8, 12]


def test_crossings_are_taken_out() -> None:
    edges = [Edge(0, 3, 0), Edge(1, 2, 1)]
    layout = arrange(4, edges, NONE, NONE)
    [upper, lower] = layout.ranks
    assert [upper.index(0), upper.index(1)] == [lower.index(3), lower.index(2)]


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError):
        arrange(2, [Edge(0, 1, 0), Edge(1, 0, 1)], NONE, NONE)


def test_very_many_long_edges() -> None:
    edges = [Edge(i, i + 1, i) for i in range(1999)] + [Edge(i, i + 1000, i) for i in range(1000)]
    layout = arrange(2000, edges, NONE, NONE)
    assert sum(map(len, layout.ranks)) <= 2000 + 20_000


def leaf(name: str, *inputs: Leaf) -> Leaf:
    from netdsl.ir.graph import Node

    return Leaf(name, Node("relu", name, [], {}, ()), inputs)


def names(block: Block) -> list[str]:
    return [part.name for part in block.parts]


def test_a_block_that_a_path_leaves_and_enters_again_is_dissolved() -> None:
    first = leaf("a.x")
    outside = leaf("between", first)
    second = leaf("a.y", outside)
    one = leaf("b.x", second)
    tree = block_tree([first, outside, second, one, leaf("b.y", one)])
    assert sorted(names(tree)) == ["a.x", "a.y", "b", "between"]


def test_two_blocks_that_need_each_other_are_dissolved() -> None:
    a1, b1 = leaf("a.x"), leaf("b.x")
    assert all(isinstance(part, Leaf) for part in block_tree([a1, b1, leaf("a.y", b1), leaf("b.y", a1)]).parts)


def test_a_name_of_very_many_parts() -> None:
    deep = ".".join(["p"] * 3000)
    first = leaf(f"{deep}.x")
    tree = block_tree([first, leaf(f"{deep}.y", first)])
    assert len(list(tree.blocks())) <= 33


def test_blocks_of_a_network(tmp_path: Path) -> None:
    path = tmp_path / "tiny.net"
    path.write_text(RESIDUAL)
    tree = block_tree(leaves_of(load(Origin(str(path))).graph))
    assert [part.name for part in tree.parts if isinstance(part, Block)] == ["stage1", "stage2"]
    assert {part.name for part in owners(tree).values()} == set(names(tree))
