"""Memory, from the plans that would be run: what is promised here is what running uses."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.diagnostics import Unsupported
from netdsl.ir.graph import Graph
from netdsl.record import record


@record
class Memory:
    """Bytes. ``weights`` is every parameter as float32, running statistics included, as in a weights file.

    A peak is the arena of the plan for ``batch`` samples on ``target``: all activations, gradients and working memory
    alive at the worst moment; weights and optimizer state are not in it. None where the target cannot run the
    network; ``reasons`` says why.
    """

    target: str
    batch: int
    weights: int
    inference_peak: int | None
    training_peak: int | None
    training_loss: str
    reasons: tuple[str, ...] = ()


@record
class Planner:
    """What plans: ``arena_bytes`` of a graph on ``target`` at ``batch``; it may raise Unsupported."""

    target: str
    batch: int
    arena_bytes: Callable[[Graph], int]


def memory_of(graph: Graph, step: Graph | None, planner: Planner) -> Memory:
    """Plan a network and its training step (None: a default one, see ``default_step``)."""
    from netdsl.report.default_step import default_loss_name, default_step

    loss = default_loss_name(graph) if step is None else "as the train block says"
    reasons: list[str] = []
    return Memory(
        planner.target,
        planner.batch,
        4 * sum(node.output.type.elements for node in graph.params),
        _peak(planner, graph, reasons),
        _peak(planner, default_step(graph) if step is None else step, reasons),
        loss,
        tuple(dict.fromkeys(reasons)),
    )


def _peak(planner: Planner, graph: Graph, reasons: list[str]) -> int | None:
    try:
        return planner.arena_bytes(graph)
    except Unsupported as error:
        reasons.append(str(error))
        return None
