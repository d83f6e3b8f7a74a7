"""What the planner asks a backend; answered without loading any code generator."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Protocol

from netdsl.ir.graph import Graph, Node
from netdsl.plan.layout import Halo, WeightLayout

if TYPE_CHECKING:
    from netdsl.plan.parts import Parts


class PlanTarget(Protocol):
    """A machine as the planner sees it."""

    @property
    def name(self) -> str: ...

    @property
    def block(self) -> int:
        """Channels stored side by side (the vector lanes)."""
        ...

    @property
    def alignment(self) -> int:
        """Every buffer starts at a multiple of this many elements."""
        ...

    def useful_threads(self, graph: Graph, batch: int, threads: int) -> int:
        """How many of ``threads`` a run of ``graph`` is worth: at least one."""
        ...

    def part_sizes(self, nodes: Sequence[Node], resident: Set[int], batch: int) -> list[int]:
        """How many samples, a divisor of ``batch``, each of ``nodes`` in run order is to compute at a time."""
        ...

    def for_graph(self, graph: Graph, resident: Set[int], *, parts: Parts, threads: int) -> PlanTarget:
        """The target as it plans ``graph``: where algorithms are chosen for nodes, this is the place.

        ``resident`` holds the identities of nodes whose values are known when weights are loaded.
        """
        ...

    def operand_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        """The packed order ``node`` wants this operand in; None for the blocked layout of activations.

        ``batch``, here and below, are the samples that it computes at a time.
        """
        ...

    def home_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        """The packed order a parameter that changes lives in if ``node`` reads it first: mostly ``operand_layout``."""
        ...

    def result_layout(self, node: Node, result: int, batch: int) -> WeightLayout | None:
        """The packed order ``node`` writes this result in; None for the blocked layout."""
        ...

    def halo(self, node: Node, operand: int) -> Halo:
        """Zero border ``node`` wants around this operand's maps."""
        ...

    def narrow(self, node: Node, operand: int) -> bool:
        """Whether ``node`` reads a network input of fewer channels than a block without padding channels."""
        ...

    def in_place(self, node: Node) -> tuple[int, ...]:
        """Operands whose memory result 0 may overwrite when the types are equal and nobody reads them later."""
        ...

    def joins(self, node: Node, reader: Node) -> bool:
        """Whether ``node`` and ``reader``, which alone reads its result, may run as one.

        The operands of ``node`` live until ``reader`` is done, and ``reader``'s results have places of their own.
        """
        ...

    def scratch(self, node: Node, batch: int, threads: int) -> int:
        """Elements of working memory the node needs while it runs, for all threads together."""
        ...
