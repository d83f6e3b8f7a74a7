"""What the planner is told about this backend."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import field

from netdsl.diagnostics import Unsupported
from netdsl.ir.graph import Graph, Node
from netdsl.plan.layout import Halo, WeightLayout
from netdsl.plan.parts import Parts
from netdsl.record import record
from netdsl_llvm.algorithms import chosen_lowering
from netdsl_llvm.effort import is_light
from netdsl_llvm.part_sizes import part_sizes
from netdsl_llvm.registry import Lowering, find_lowering
from netdsl_llvm.target import Target


@record
class CpuPlanTarget:
    """A `netdsl.plan.target.PlanTarget`: every question goes to the node's kernel. Unsupported where it has none.

    `exact`: convolutions are sums of products as they are defined, never of transformed operands. `shared_from`: runs
    that are lighter stay on one thread; see `effort`.
    """

    target: Target
    exact: bool = False
    shared_from: int = 0
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

    def useful_threads(self, graph: Graph, batch: int, threads: int) -> int:
        return 1 if is_light(graph, batch, self.shared_from) else threads

    def part_sizes(self, nodes: Sequence[Node], resident: Set[int], batch: int) -> list[int]:
        return part_sizes(self.target, nodes, resident, batch, exact=self.exact)

    def for_graph(self, graph: Graph, resident: Set[int], *, parts: Parts, threads: int) -> CpuPlanTarget:
        """With the best algorithm for each convolution."""
        if self.exact:
            return self
        chosen = CpuPlanTarget(self.target, shared_from=self.shared_from)
        for node in graph.nodes:
            stays = len(node.inputs) > 1 and id(node.inputs[1].node) in resident
            lowering = chosen_lowering(self.target, node, parts.of(node), threads, resident=stays)
            if lowering is not None:
                chosen._known[node] = lowering
        return chosen

    def operand_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return self._lowering(node).operand_layout(self.target, node, operand, batch)

    def home_layout(self, node: Node, operand: int, batch: int) -> WeightLayout | None:
        return self._lowering(node).home_layout(self.target, node, operand, batch)

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

    def joins(self, node: Node, reader: Node) -> bool:
        return self._lowering(node).joins(self.target, node, reader)

    def _lowering(self, node: Node) -> Lowering:
        """The node's kernel; the planner asks many questions about each node."""
        found = self._known.get(node)
        if found is None:
            found = find_lowering(node.op)
            if found is None:
                raise Unsupported(node.op, "cpu", f"the CPU backend has no kernel for {node.op}", node.spans)
            self._known[node] = found
        return found
