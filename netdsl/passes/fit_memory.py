"""A training step is made to fit an amount of memory: values are computed again that would have to wait.

The plan itself says which step is the worst and what waits there (`netdsl.plan.moment`). Of that, what gives the most
bytes for its time is dropped (`netdsl.passes.recompute`): normalizations, activations, pools and sums first, then
convolutions. This goes on, from worst step to worst step, until the plan fits. Then whatever turns out not to be
needed is kept again, the dearest first, each time with a look at the plan.

Finding the least work that fits is NP-hard (Naumann, "Optimal Jacobian accumulation is NP-complete", 2008); what is
found here is a local optimum: with any one of the repetitions that were tried kept instead, the plan would not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from netdsl.analysis.roofline import work_of
from netdsl.diagnostics import Code, ResourceLimit
from netdsl.ir.graph import Graph, Node
from netdsl.ir.repeats import origin_of, repeated_nodes
from netdsl.passes.base import Log, Pass
from netdsl.passes.recompute import Recompute
from netdsl.plan.moment import Moment
from netdsl.plan.planner import Decided
from netdsl.record import record

Look = Callable[[Graph, Decided | None], Moment]
"""The worst moment of a graph's plan; decided as `netdsl.plan.planner.draft_graph` takes them."""


@record
class FitMemory(Pass):
    """See the module. ``budget`` is in bytes, for arena and weights at ``batch``; ``look`` plans.

    Comes after all other passes. Raises ResourceLimit, with the smallest peak that was reached, where the budget
    cannot be met.
    """

    name: ClassVar[str] = "fit_memory"
    budget: int
    batch: int
    look: Look
    paces: tuple[float, ...] = (0.04, 0.12, 0.4)
    """The part of the ordinary peak that is taken off between two looks at most; a longer one where a shorter fails."""
    most_stalls: int = 16
    """Looks without a smaller peak after which the search gives up."""
    most_tries: int = 24
    """Repetitions that are tried to do without in the end."""

    def run(self, graph: Graph, log: Log) -> None:
        first = self.look(graph, None)
        if first.bytes <= self.budget:
            return
        fitting = self._spare(self._fitted(graph, first), first.decided)
        for node in repeated_nodes(fitting):
            log.rewrote([node], "computed again instead of kept")
        graph.nodes, graph.outputs, graph.updates = fitting.nodes, fitting.outputs, fitting.updates

    def _fitted(self, graph: Graph, first: Moment) -> Graph:
        """A copy of the graph that fits."""
        smallest = first.bytes
        costs: dict[tuple[str, str], float] = {}
        for pace in self.paces:
            careful = pace == self.paces[0]
            work, reached = self._search(graph, first, int(pace * first.bytes), costs, careful)
            if reached <= self.budget:
                return work
            smallest = min(smallest, reached)
        raise _too_small(graph, self.budget, self.batch, first.bytes, smallest)

    def _search(
        self, graph: Graph, first: Moment, stride: int, costs: dict[tuple[str, str], float], careful: bool
    ) -> tuple[Graph, int]:
        """A copy of the graph after drops until it fits or nothing helps any more, and the smallest bytes seen.

        ``careful``: where a look has shown no smaller peak, one drop at a time. Mostly that leads farther.
        """
        work, _ = graph.copy()
        moment = self.look(work, first.decided)
        smallest, stalls = moment.bytes, 0
        while moment.bytes > self.budget and stalls <= self.most_stalls:
            recompute = Recompute(work, moment, self.batch, costs)
            if not _relieve(recompute, 1 if careful and stalls else min(moment.bytes - self.budget, stride)):
                break
            moment = self.look(work, first.decided)
            stalls = stalls + 1 if moment.bytes >= smallest else 0
            smallest = min(smallest, moment.bytes)
        return work, smallest

    def _spare(self, graph: Graph, decided: Decided) -> Graph:
        """A copy of a graph that fits, without the repetitions that are not needed for that."""
        found = sorted(repeated_nodes(graph), key=lambda node: -work_of(node, 1).flops)
        for name in [node.name for node in found[: self.most_tries]]:
            tried, _ = graph.copy()
            node = next((node for node in tried.nodes if node.name == name), None)
            if node is None:
                continue
            _keep_first(tried, node)
            if self.look(tried, decided).bytes <= self.budget:
                graph = tried
        return graph


def _relieve(recompute: Recompute, excess: int) -> bool:
    """Drop what waits until ``excess`` bytes less do, or nothing more can be dropped; whether anything was."""
    changed = False
    while excess > 0:
        best = max(recompute.drops(), key=lambda drop: drop.gain, default=None)
        if best is None:
            break
        recompute.apply(best)
        excess -= best.saved
        changed = True
    return changed


def _keep_first(graph: Graph, repeat: Node) -> None:
    """Undo one repetition: its readers read what was computed first."""
    name, index = origin_of(repeat.output)
    first = next(node for node in graph.nodes if node.name == name).outputs[index]
    for node in graph.nodes:
        node.inputs = [first if value is repeat.output else value for value in node.inputs]
    graph.prune()


def _too_small(graph: Graph, budget: int, batch: int, ordinary: int, smallest: int) -> ResourceLimit:
    return ResourceLimit.of(
        Code.LIMIT_MEMORY,
        f"a training step of `{graph.name}` at batch {batch} does not fit {budget:,} bytes",
        notes=[
            f"{smallest:,} bytes is the smallest plan that was found",
            f"{ordinary:,} bytes is the plan that computes nothing again",
        ],
        help="a smaller `--batch` needs less" if batch > 1 else None,
    )
