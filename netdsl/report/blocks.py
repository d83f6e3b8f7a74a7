"""Blocks of a network that fold: a tree over its layers, by their dotted names.

A block folds to one box, so that what lies between blocks must stay free of cycles: a block that a path leaves and
comes back to is dissolved, its parts taking its place. So is a block of one part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from netdsl.ir.graph import Graph, Node

MAX_DEPTH = 32
"""Names may have more parts; blocks nested deeper than this are not told apart."""


@dataclass(eq=False)
class Leaf:
    """An input, a layer, or (``node`` None) a named output of the network, which reads ``inputs``."""

    name: str
    node: Node | None
    inputs: tuple[Leaf, ...]


@dataclass(eq=False)
class Block:
    """Layers with a common prefix; ``name`` is that prefix, empty for the whole network."""

    name: str
    parts: list[Leaf | Block] = field(default_factory=list)

    def leaves(self) -> Iterator[Leaf]:
        """All layers inside, in the graph's order within each part."""
        for part in self.parts:
            if isinstance(part, Block):
                yield from part.leaves()
            else:
                yield part

    def blocks(self) -> Iterator[Block]:
        """This block and all inside."""
        yield self
        for part in self.parts:
            if isinstance(part, Block):
                yield from part.blocks()


Part = Leaf | Block


def leaves_of(graph: Graph) -> list[Leaf]:
    """Inputs and layers in the graph's order, then the outputs. Parameters and constants are left out."""
    made: dict[Node, Leaf] = {}
    for node in graph.nodes:
        if node.op in ("param", "const"):
            continue
        operands = dict.fromkeys(made[value.node] for value in node.inputs if value.node in made)
        made[node] = Leaf(node.name, node, tuple(operands))
    outputs = [Leaf(name, None, (made[value.node],)) for name, value in graph.outputs.items() if value.node in made]
    return [*made.values(), *outputs]


def block_tree(leaves: Iterable[Leaf]) -> Block:
    """The network's blocks, each free of cycles between its parts."""
    root = _by_prefix(leaves)
    for block in _top_down(root):
        while _dissolve_small(block) or _dissolve_cycles(block):
            pass
    return root


def owners(block: Block) -> dict[Leaf, Part]:
    """For each leaf inside ``block``, the part of ``block`` that holds it."""
    table: dict[Leaf, Part] = {}
    for part in block.parts:
        table.update(dict.fromkeys(part.leaves() if isinstance(part, Block) else [part], part))
    return table


def _by_prefix(leaves: Iterable[Leaf]) -> Block:
    root = Block("")
    made: dict[tuple[str, ...], Block] = {(): root}
    for leaf in leaves:
        words = tuple(leaf.name.split(".")[:-1][:MAX_DEPTH]) if leaf.node is not None else ()
        for length in range(1, len(words) + 1):
            prefix = words[:length]
            if prefix not in made:
                made[prefix] = Block(".".join(prefix))
                made[prefix[:-1]].parts.append(made[prefix])
        made[words].parts.append(leaf)
    return root


def _top_down(root: Block) -> Iterator[Block]:
    """Each block after its parent has been put in order."""
    waiting = [root]
    while waiting:
        block = waiting.pop()
        yield block
        waiting.extend(part for part in block.parts if isinstance(part, Block))


def _dissolve_small(block: Block) -> bool:
    small = {part for part in block.parts if isinstance(part, Block) and len(part.parts) < 2}
    return _dissolve(block, small)


def _dissolve_cycles(block: Block) -> bool:
    table = owners(block)
    after: dict[Part, dict[Part, None]] = {part: {} for part in block.parts}
    for leaf in table:
        for operand in leaf.inputs:
            source, reader = table.get(operand), table[leaf]
            if source is not None and source is not reader:
                after[source][reader] = None
    return _dissolve(block, {part for part in _in_cycles(after) if isinstance(part, Block)})


def _in_cycles(after: dict[Part, dict[Part, None]]) -> set[Part]:
    """What is left when parts without predecessors, then those without successors, are taken away again and again."""
    left = _peeled(after)
    before: dict[Part, dict[Part, None]] = {part: {} for part in left}
    for part in left:
        for reader in after[part]:
            if reader in left:
                before[reader][part] = None
    return _peeled(before)


def _peeled(after: dict[Part, dict[Part, None]]) -> set[Part]:
    waits = dict.fromkeys(after, 0)
    for readers in after.values():
        for reader in readers:
            waits[reader] += 1
    free = [part for part, count in waits.items() if not count]
    gone = set(free)
    while free:
        for reader in after[free.pop()]:
            waits[reader] -= 1
            if not waits[reader]:
                free.append(reader)
                gone.add(reader)
    return {part for part in after if part not in gone}


def _dissolve(block: Block, doomed: Iterable[Part]) -> bool:
    found = set(doomed)
    if not found:
        return False
    parts: list[Part] = []
    for part in block.parts:
        parts.extend(part.parts if isinstance(part, Block) and part in found else [part])
    block.parts = parts
    return True
