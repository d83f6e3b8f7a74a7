"""What the planner is told about this backend."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.diagnostics import Unsupported
from netdsl.ir.graph import Node
from netdsl.ops.base import Call
from netdsl.plan.layout import Halo, WeightLayout
from netdsl_llvm.registry import Lowering, find_lowering
from netdsl_llvm.target import Target


@dataclass(frozen=True)
class CpuPlanTarget:
    """A `netdsl.plan.target.PlanTarget`: every question goes to the node's kernel. Unsupported where it has none."""

    target: Target
    _known: dict[Node, Lowering] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"cpu-{self.target.name}"

    @property
    def block(self) -> int:
        return self.target.lanes

    @property
    def alignment(self) -> int:
        return self.target.alignment // 4

    def operand_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return self._lowering(node).operand_layout(self.target, node, operand, batch)

    def result_layout(self, node: Node, result: int, batch: int) -> WeightLayout | None:
        return self._lowering(node).result_layout(self.target, node, result, batch)

    def halo(self, node: Node, operand: int) -> Halo:
        return self._lowering(node).halo(self.target, node, operand)

    def narrow(self, node: Node, operand: int) -> bool:
        return self._lowering(node).narrow(self.target, node, operand)

    def in_place(self, node: Node) -> tuple[int, ...]:
        return self._lowering(node).in_place(self.target, node)

    def scratch(self, node: Node, batch: int, threads: int) -> int:
        return self._lowering(node).scratch(self.target, node, batch, threads)

    def _lowering(self, node: Node) -> Lowering:
        """The node's kernel; the planner asks many questions about each node."""
        found = self._known.get(node)
        if found is None:
            found = find_lowering(node.op, Call.of(node))
            if found is None:
                raise Unsupported(node.op, "cpu", f"the CPU backend has no kernel for {node.op}", node.spans)
            self._known[node] = found
        return found
