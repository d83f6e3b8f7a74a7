"""Memory, from the plans that would be run: what is promised here is what running uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from netdsl.diagnostics import Unsupported
from netdsl.driver import Build, find_device, make_plan, optimize, training_step
from netdsl.elaborate import Model
from netdsl.ir.graph import Graph


@dataclass(frozen=True)
class Memory:
    """Bytes. ``weights`` is every parameter as float32, running statistics included, as in a weights file.

    A peak is the arena of the plan for ``target``: all activations, gradients and working memory alive at the worst
    moment; weights and optimizer state are not in it. None where the target cannot run the network yet;
    ``reasons`` says why.
    """

    target: str
    weights: int
    inference_peak: int | None
    training_peak: int | None
    training_loss: str
    reasons: tuple[str, ...] = ()


def memory_of(model: Model, *, batch: int, target: str, threads: int | None) -> Memory:
    """Plan inference and a training step at ``batch``. Raises UserError for an unknown target."""
    build = Build(target=target, batch=batch, threads=threads)
    reasons: list[str] = []
    weights = 4 * sum(node.output.type.elements for node in model.graph.params)
    step, loss = _training(model)
    inference = _peak(lambda: model.graph, build, reasons)
    training = _peak(step, replace(build, training=True), reasons)
    return Memory(target, weights, inference, training, loss, tuple(dict.fromkeys(reasons)))


def _training(model: Model) -> tuple[Callable[[], Graph], str]:
    """How the step is made, and its loss in words."""
    if model.train is not None:
        return lambda: training_step(model), "as the train block says"
    from netdsl.report.default_step import default_loss_name, default_step

    return lambda: default_step(model.graph), default_loss_name(model.graph)


def _peak(make: Callable[[], Graph], build: Build, reasons: list[str]) -> int | None:
    try:
        device = find_device(build)
        graph, _ = optimize(make(), build)
        return make_plan(graph, device, build).arena_bytes
    except Unsupported as error:
        reasons.append(str(error))
        return None
