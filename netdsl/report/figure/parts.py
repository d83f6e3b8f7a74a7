"""What stands in a figure of a network: one part for each layer worth a box, or for a folded block.

Layers that only touch up the map before them (normalization, activation, dropout, flatten) are marks on that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netdsl.ir.graph import Graph
from netdsl.report.blocks import Block, Leaf, Part, block_tree, leaves_of, owners
from netdsl.report.summary import sizes, summary

MARKS = frozenset(
    ("bn", "lrn", "relu", "leaky_relu", "prelu", "sigmoid", "tanh", "softmax", "log_softmax", "dropout", "identity",
     "flatten", "reshape")
)  # fmt: skip
MOST_PARTS = 40
"""A figure opens blocks as deep as it has no more parts than this."""


@dataclass(eq=False)
class Box:
    """One part of a figure. ``op`` is ``block`` for a folded block; ``shape`` is its result's, before marks."""

    op: str
    name: str
    about: str
    shape: tuple[int, ...]
    marks: list[str] = field(default_factory=list)

    @property
    def captions(self) -> list[str]:
        """What is written under it."""
        return [line for line in (self.name, self.about, sizes(self.shape)) if line]


@dataclass(frozen=True)
class Diagram:
    """Boxes in the graph's order, and edges between their numbers."""

    boxes: list[Box]
    edges: list[tuple[int, int]]


def diagram(graph: Graph, depth: int | None = None) -> Diagram:
    """The parts with blocks open down to ``depth`` levels; None opens what fits into MOST_PARTS."""
    root = block_tree(leaves_of(graph))
    if depth is not None:
        return _diagram(root, depth)
    best = _diagram(root, 0)
    for level in range(1, _levels(root) + 1):
        finer = _diagram(root, level)
        if len(finer.boxes) > MOST_PARTS:
            break
        best = finer
    return best


def _levels(block: Block) -> int:
    return max((1 + _levels(part) for part in block.parts if isinstance(part, Block)), default=0)


def _open(block: Block, depth: int) -> list[Part]:
    """Parts in sight, by the place of their first layer."""
    found: list[Part] = []
    for part in block.parts:
        found.extend(_open(part, depth - 1) if isinstance(part, Block) and depth > 0 else [part])
    return found


def _diagram(root: Block, depth: int) -> Diagram:
    sight = Block("", _open(root, depth))
    table = owners(sight)
    made: dict[Part, int] = {}
    boxes: list[Box] = []
    edges: dict[tuple[int, int], None] = {}
    for part in _in_order(sight.parts, table):
        before = list(dict.fromkeys(made[source] for source in _sources(part, table)))
        if isinstance(part, Leaf) and len(before) == 1 and _is_mark(part, boxes[before[0]]):
            _mark(part, boxes[before[0]])
            made[part] = before[0]
            continue
        made[part] = len(boxes)
        boxes.append(_block(part, table) if isinstance(part, Block) else _leaf(part))
        edges.update(dict.fromkeys((number, made[part]) for number in before))
    return Diagram(boxes, list(edges))


def _sources(part: Part, table: dict[Leaf, Part]) -> list[Part]:
    leaves = part.leaves() if isinstance(part, Block) else [part]
    found = dict.fromkeys(table[source] for leaf in leaves for source in leaf.inputs)
    return [source for source in found if source is not part]


def _in_order(parts: Sequence[Part], table: dict[Leaf, Part]) -> list[Part]:
    """Each part after those it reads."""
    before = {part: _sources(part, table) for part in parts}
    readers: dict[Part, list[Part]] = {}
    for part, sources in before.items():
        for source in sources:
            readers.setdefault(source, []).append(part)
    waits = {part: len(sources) for part, sources in before.items()}
    order = [part for part, count in waits.items() if not count]
    for part in order:  # grows while it is walked
        for reader in readers.get(part, ()):
            waits[reader] -= 1
            if not waits[reader]:
                order.append(reader)
    return order


def _is_mark(leaf: Leaf, before: Box) -> bool:
    return leaf.node is None or (leaf.node.op in MARKS and before.op != "input")


def _mark(leaf: Leaf, box: Box) -> None:
    if leaf.node is not None:
        box.marks.append(leaf.node.op)


def _leaf(leaf: Leaf) -> Box:
    node = leaf.node
    assert node is not None  # an output is a mark on what it reads
    if node.op == "input":
        return Box("input", leaf.name, "", node.types[0].shape)
    kernel = node.attrs.get("kernel")
    size = f" {kernel[0]}×{kernel[1]}" if isinstance(kernel, tuple) else ""
    stride = [word for word in summary(node).split(", ") if word.startswith(("stride", "dilation"))]
    return Box(node.op, f"{node.op}{size}", ", ".join(stride), node.types[0].shape)


def _block(block: Block, table: dict[Leaf, Part]) -> Box:
    leaves = list(block.leaves())
    read = {source for leaf in table if table[leaf] is not block for source in leaf.inputs}
    last = next((leaf for leaf in reversed(leaves) if leaf in read), leaves[-1])
    assert last.node is not None
    return Box("block", block.name, f"{len(leaves)} layers", last.node.types[0].shape)
