"""What a training step computes a second time to fit an amount of memory, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netdsl.analysis.roofline import work_of
from netdsl.ir.graph import Graph
from netdsl.ir.repeats import repeated_nodes
from netdsl.record import record
from netdsl.report.columns import aligned, size_text


@record
class Repeated:
    """A layer that is computed ``times`` more times in a step; ``flops`` are of all of them, for the whole batch."""

    name: str
    op: str
    times: int
    flops: int


@record
class Recomputation:
    """Bytes are of whole plans, ``weights`` (with optimizer state) included; ``flops`` of the ordinary step of a batch.

    ``budget`` is None where none was given; ``ordinary`` is the plan that keeps everything.
    """

    net: str
    batch: int
    budget: int | None
    ordinary: int
    planned: int
    weights: int
    flops: int
    layers: tuple[Repeated, ...]

    @property
    def extra(self) -> int:
        """Operations of a batch beyond those of the ordinary step."""
        return sum(layer.flops for layer in self.layers)


def recomputation_of(
    graph: Graph, batch: int, budget: int | None, ordinary: int, planned: int, weights: int
) -> Recomputation:
    """Read what is repeated from the graph of a training step, after the passes."""
    again = repeated_nodes(graph)
    ordinary_flops = sum(work_of(node, batch).flops for node in graph.layers if node.repeats is None)
    ops = {node.name: node.op for node in graph.layers}
    names = dict.fromkeys(node.repeats for node in again if node.repeats is not None)
    layers = []
    for name in names:
        same = [node for node in again if node.repeats == name]
        layers.append(Repeated(name, ops[name], len(same), sum(work_of(node, batch).flops for node in same)))
    return Recomputation(graph.name, batch, budget, ordinary, planned, weights, ordinary_flops, tuple(layers))


def plain_recomputation(found: Recomputation) -> str:
    """The plan beside the ordinary one, and every layer that is computed again."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Recomputation) -> Iterator[str]:
    part, extra = found.planned / found.ordinary, found.extra / found.flops
    yield f"{found.net}: a training step at batch {found.batch}"
    yield f"planned      {size_text(found.planned)}, {100 * part:.1f} % of the ordinary plan"
    yield f"  of these   {found.weights:,} bytes are weights and optimizer state"
    yield f"ordinary     {size_text(found.ordinary)}"
    yield f"extra FLOPs  {found.extra:,} a batch, {100 * extra:.2f} % of the step's {found.flops:,}"
    if not found.layers:
        yield "nothing is computed again"
        return
    yield ""
    rows = [(layer.name, layer.op, str(layer.times), f"{layer.flops:,}") for layer in found.layers]
    yield from aligned([("computed again", "op", "times", "FLOPs"), *rows], text_columns=2)


def recomputation_document(found: Recomputation) -> dict[str, Any]:
    """The document of ``report --checkpoint-activations --json``."""
    return {
        "net": found.net,
        "batch": found.batch,
        "recomputation": {
            "budget_bytes": found.budget,
            "planned_bytes": found.planned,
            "ordinary_bytes": found.ordinary,
            "weights_bytes": found.weights,
            "flops": found.flops,
            "extra_flops": found.extra,
            "layers": [
                {"name": layer.name, "op": layer.op, "times": layer.times, "flops": layer.flops}
                for layer in found.layers
            ],
        },
    }
