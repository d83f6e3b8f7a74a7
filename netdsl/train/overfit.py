"""A check that a net can learn: a few samples, always the same, until their loss has fallen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from netdsl.autodiff import training_graph
from netdsl.data.base import Data
from netdsl.data.batches import TrainingBatches
from netdsl.diagnostics import Code, NumericFailure, UserError
from netdsl.plan.executor import Array
from netdsl.train.evaluate import step_inputs
from netdsl.train.fit_data import check_batch, check_rule, check_targets
from netdsl.train.loop import Compiler
from netdsl.train.recipe import Recipe
from netdsl.updates import first_averages
from netdsl.weights.initialize import initial_parameters

FALLEN = 1 / 3
"""Part of the loss of new weights that is to be reached: label smoothing keeps losses from falling much further."""
MOST_STEPS = 500
_WARM_UP, _MEAN_OF = 10, 5


@dataclass(frozen=True)
class Overfit:
    """``first`` is the loss of the first step, ``last`` the mean of the last few."""

    samples: int
    steps: int
    first: float
    last: float


def overfit(
    recipe: Recipe,
    data: Data,
    compiler: Compiler,
    *,
    seed: int,
    samples: int,
    weights: Mapping[str, Array] | None = None,
) -> Overfit:
    """Train on ``samples`` samples of the training part, chosen by ``seed``, without augmentation, in one batch.

    Parameters start as ``weights`` says, and as ``seed`` where it says nothing. Learnt is what has a third of the
    loss that new weights give; with ``weights`` that may be so from the start, so they are trained at the full rate for
    a while, and the loss has to have fallen.

    Raises NumericFailure where the loss is not finite, UserError where it has not fallen after `MOST_STEPS`.
    """
    if samples > len(data.train):
        raise UserError.of(
            Code.BAD_OPTION, f"{samples} samples are asked for; {data.name} has {len(data.train)} to train with"
        )
    recipe = replace(recipe, batch=samples, rule=replace(recipe.rule, accumulate=1))
    check_targets(recipe, data)
    check_rule(recipe)
    losses: list[float] = []
    unlearned = next(_losses(recipe, data, compiler, seed, {})) if weights else None
    least = 2 * _WARM_UP if weights else _MEAN_OF
    for loss in _losses(recipe, data, compiler, seed, weights or {}):
        losses.append(loss)
        if not np.isfinite(loss):
            raise NumericFailure.of(Code.NOT_FINITE, f"the loss is {loss} after {len(losses)} steps")
        last = float(np.mean(losses[-_MEAN_OF:]))
        goal = FALLEN * (losses[0] if unlearned is None else unlearned)
        if len(losses) >= least and last <= goal and last < losses[0]:
            return Overfit(samples, len(losses), losses[0], last)
    raise UserError.of(
        Code.TRAIN_SETTING,
        f"the loss of {samples} samples went from {losses[0]:.4g} to {last:.4g} in {MOST_STEPS} steps",
        notes=(
            f"a net that can learn brings the loss of a few samples to a third of what new weights give: {goal:.4g}",
        ),
        help="look for a learning rate with `netdsl lr-find`, and at the loss, its targets and dropout",
    )


def _losses(recipe: Recipe, data: Data, compiler: Compiler, seed: int, weights: Mapping[str, Array]) -> Iterator[float]:
    graph = training_graph(recipe.graph, recipe.loss, optimizer=recipe.optimizer, rule=recipe.rule)
    check_batch(graph, recipe.batch)
    parameters = initial_parameters(graph.params, seed)
    parameters.update((name, array) for name, array in weights.items() if name in parameters)
    parameters.update(first_averages(parameters))
    executor = compiler.training(graph, parameters, recipe.batch)
    batches = TrainingBatches(
        data.train, recipe.preparation(data), (), batch=recipe.batch, seed=seed, kinds=recipe.wanted()
    )
    batch = batches.load(0, 0, batches.order(0))
    for step in range(MOST_STEPS):
        rate = recipe.rate * min(1.0, (step + 1) / _WARM_UP)
        yield float(executor.step(step_inputs(recipe, batch, rate, step, seed))["loss"])
