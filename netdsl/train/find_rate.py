"""Looking for a learning rate: one short training whose rate rises by the same factor with every update.

The loss falls little while the rate is too small, then fast, then rises again, and where the smoothed loss falls
fastest for a factor of the rate is a good place to begin (Smith, "Cyclical learning rates for training neural
networks", WACV 2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from netdsl.autodiff import training_graph
from netdsl.data.base import Data
from netdsl.data.batches import Batch
from netdsl.diagnostics import Code, NumericFailure
from netdsl.plan.executor import Array
from netdsl.train.evaluate import step_inputs
from netdsl.train.feeding import training_batches
from netdsl.train.fit_data import check_batch, check_rule, check_targets
from netdsl.train.loop import Compiler
from netdsl.train.recipe import Recipe
from netdsl.updates import first_averages
from netdsl.weights.initialize import initial_parameters

SMOOTHING = 0.9
"""Part of the running loss that stays with every update."""
DIVERGED = 4.0
"""The search ends where the smoothed loss is so many times the smallest."""
LEAST = 8
"""Updates without which nothing can be said."""


@dataclass(frozen=True)
class RatePoint:
    """An update: the rate, the loss of its batch, and the loss smoothed over those before."""

    rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class RateCurve:
    """What was seen. ``suggested`` is the rate where the smoothed loss falls fastest, ``lowest`` where it is least;
    ``diverged`` says whether the loss ran away before the last rate."""

    points: tuple[RatePoint, ...]
    suggested: float
    lowest: float
    diverged: bool


def find_rate(
    recipe: Recipe,
    data: Data,
    compiler: Compiler,
    *,
    seed: int,
    low: float,
    high: float,
    updates: int,
    weights: Mapping[str, Array] | None = None,
) -> RateCurve:
    """Train from ``low`` to ``high`` in at most ``updates`` updates. The recipe's schedule counts for nothing here.

    Raises UserError for data that do not fit, NumericFailure where the loss is not finite before anything can be said.
    """
    if updates < LEAST or not 0 < low < high:
        raise ValueError(f"rates from {low} to {high} in {updates} updates")
    check_targets(recipe, data)
    check_rule(recipe)
    rates = np.geomspace(low, high, updates)
    losses: list[float] = []
    smoothed: list[float] = []
    for loss in _losses(recipe, data, compiler, seed, rates.tolist(), weights or {}):
        if not np.isfinite(loss):
            break
        losses.append(loss)
        smoothed.append(_smoothed(losses))
        if len(losses) >= LEAST and smoothed[-1] > DIVERGED * min(smoothed):
            break
    if len(losses) < LEAST:
        raise NumericFailure.of(
            Code.NOT_FINITE,
            f"the loss is not a finite number at a learning rate of {rates[len(losses)]:.3g} already",
            help="begin with a smaller one: `--from`",
        )
    return _curve(rates[: len(losses)].tolist(), losses, smoothed, len(losses) < updates)


def _losses(
    recipe: Recipe, data: Data, compiler: Compiler, seed: int, rates: Sequence[float], weights: Mapping[str, Array]
) -> Iterator[float]:
    """The mean loss of the batches of each update."""
    graph = training_graph(*recipe.for_steps(), optimizer=recipe.optimizer, rule=recipe.rule)
    check_batch(graph, recipe.batch)
    parameters = {**initial_parameters(graph.params, seed)}
    parameters.update({name: array for name, array in weights.items() if name in parameters})
    parameters.update(first_averages(parameters))
    executor = compiler.training(graph, parameters, recipe.batch)
    batches = _batches(recipe, data, seed)
    for number, rate in enumerate(rates):
        total = 0.0
        for part in range(recipe.rule.accumulate):
            step = number * recipe.rule.accumulate + part
            total += float(executor.step(step_inputs(recipe, next(batches), rate, step, seed))["loss"])
        yield total / recipe.rule.accumulate


def _batches(recipe: Recipe, data: Data, seed: int) -> Iterator[Batch]:
    """The batches of a training, epoch after epoch."""
    preparation = recipe.preparation(data)
    batches = training_batches(recipe, data, preparation, seed)
    for epoch in count():
        yield from batches.epoch(epoch)


def _smoothed(losses: Sequence[float]) -> float:
    """The running mean with exponential weights that sum to 1."""
    weights = SMOOTHING ** np.arange(len(losses) - 1, -1, -1)
    return float(np.average(losses, weights=weights))


def _curve(rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], diverged: bool) -> RateCurve:
    lowest = int(np.argmin(smoothed))
    falling = np.gradient(np.asarray(smoothed), np.log(rates))[: max(lowest, 1) + 1]
    points = tuple(map(RatePoint, rates, losses, smoothed))
    return RateCurve(points, rates[int(np.argmin(falling))], rates[lowest], diverged)
