"""From an elaborated `train` block to a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netdsl.diagnostics import Code, UserError
from netdsl.elaborate import Metric as MetricSpec
from netdsl.elaborate import Model, TrainSpec
from netdsl.train.recipe import AugmentStep, Metric, Recipe
from netdsl.train.schedule import Constant, Cosine, Exponential, MultiStep, OneCycle, Poly, Schedule, Step

_SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "constant": Constant,
    "step": Step,
    "multistep": MultiStep,
    "exponential": Exponential,
    "poly": Poly,
    "cosine": Cosine,
    "onecycle": OneCycle,
}
_TOP = {"top1": 1, "top5": 5}


def recipe_of(model: Model, *, batch: int | None = None, epochs: int | None = None) -> Recipe:
    """The recipe of a model's `train` block; ``batch`` and ``epochs`` override it. Raises UserError if the
    file has none."""
    if model.train is None:
        raise UserError.of(
            Code.NO_TRAIN,
            f"`{model.source.name}` does not say how to train `{model.name}`",
            help=f"add `train {model.name} {{ ... }}` with a loss, an optimizer, batch and epochs",
        )
    spec = model.train
    arguments = dict(spec.optimizer.arguments)
    rate = float(arguments.pop("lr"))
    return Recipe(
        graph=spec.graph,
        loss=spec.loss,
        targets=tuple(spec.targets),
        optimizer=(spec.optimizer.name, arguments),
        rate=rate,
        batch=batch if batch is not None else spec.batch,
        epochs=epochs if epochs is not None else spec.epochs,
        schedule=_SCHEDULES[spec.schedule.name](**spec.schedule.arguments),
        augment=tuple(AugmentStep(choice.name, choice.arguments) for choice in spec.augmentations),
        metrics=_metrics(spec),
        rule=spec.rule,
        soft=spec.soft_targets,
    )


def _metrics(spec: TrainSpec) -> tuple[Metric, ...]:
    metrics: list[Metric] = []
    taken = {"loss"}
    for item in spec.metrics:
        name, count = _shown(item), 1
        while name in taken:
            count += 1
            name = f"{_shown(item)}_{count}"
        taken.add(name)
        metrics.append(_metric(item, name))
    return tuple(metrics)


def _metric(item: MetricSpec, name: str) -> Metric:
    if item.value is not None:
        return Metric(name, "mean", item.value)
    scores, label = item.operands
    if item.name == "pixel_accuracy":
        return Metric(name, "pixel_accuracy", scores, label.node.name, ignore=item.arguments["ignore"])
    return Metric(name, "top", scores, label.node.name, _TOP.get(item.name) or int(item.arguments["k"]))


def _shown(item: MetricSpec) -> str:
    arguments: Mapping[str, Any] = item.arguments
    return f"top{arguments['k']}" if item.name == "topk" else item.name
