"""Work, traffic and time of a network: by layer, by block, in all, and as it is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.analysis.roofline import Roof, Work, layer_work
from netdsl.ir.graph import Graph, Node
from netdsl.machine import Machine
from netdsl.report.blocks import Leaf, block_tree, leaves_of


@dataclass(frozen=True)
class Item:
    """A layer, a block, or all. ``seconds`` is the sum of its layers' and None without a machine.

    ``bound`` says what limits a layer; of several it is where most of the time goes.
    """

    name: str
    layers: int
    work: Work
    seconds: float | None
    bound: str | None


@dataclass(frozen=True)
class CostReport:
    """Numbers of a batch. ``layers`` are in the graph's order; ``blocks`` from the outside in.

    ``total`` takes the layers one by one, as the file has them; ``compiled`` is the network after the passes, with
    what is fused into a layer done where its result is at hand.
    """

    batch: int
    threads: int | None
    machine: Machine | None
    layers: dict[Node, Item]
    blocks: tuple[Item, ...]
    total: Item
    compiled: Item

    @property
    def roof(self) -> Roof | None:
        return Roof.of(self.machine, self.threads) if self.machine else None


def build_cost(
    graph: Graph, compiled: Graph, batch: int, machine: Machine | None = None, threads: int | None = None
) -> CostReport:
    """Count a network and the form it is compiled to. Raises UserError for an op that cannot be counted."""
    roof = Roof.of(machine, threads) if machine else None
    layers = {node: _layer(node, work, roof) for node, work in layer_work(graph, batch).items()}
    after = [_layer(node, work, roof) for node, work in layer_work(compiled, batch).items()]
    return CostReport(
        batch,
        threads,
        machine,
        layers,
        tuple(_blocks(graph, layers)),
        _sum("", list(layers.values())),
        _sum("", after),
    )


def _layer(node: Node, work: Work, roof: Roof | None) -> Item:
    return Item(node.name, 1, work, roof.seconds(work) if roof else None, roof.bound(work) if roof else None)


def _blocks(graph: Graph, layers: dict[Node, Item]) -> Iterator[Item]:
    for block in block_tree(leaves_of(graph)).blocks():
        if block.name:
            yield _sum(block.name, [layers[node] for node in map(_node, block.leaves()) if node in layers])


def _node(leaf: Leaf) -> Node | None:
    return leaf.node


def _sum(name: str, items: list[Item]) -> Item:
    work = sum((item.work for item in items), Work())
    if any(item.seconds is None for item in items):
        return Item(name, len(items), work, None, None)
    spent = {"compute": 0.0, "memory": 0.0}
    for item in items:
        if item.bound and item.seconds:
            spent[item.bound] += item.seconds
    bound = max(spent, key=lambda kind: spent[kind]) if any(spent.values()) else None
    return Item(name, len(items), work, sum(spent.values()), bound)
