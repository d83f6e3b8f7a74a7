"""What the planner asks a backend; answered without loading any code generator."""

from __future__ import annotations

from typing import Protocol

from netdsl.ir.graph import Node
from netdsl.plan.layout import Halo, WeightLayout


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

    def operand_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        """The packed order ``node`` wants this operand in; None for the blocked layout of activations."""
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

    def scratch(self, node: Node, batch: int, threads: int) -> int:
        """Elements of working memory the node needs while it runs, for all threads together."""
        ...
