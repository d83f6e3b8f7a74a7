"""From data and a recipe to the batches of a training."""

from __future__ import annotations

from netdsl.data.base import Data
from netdsl.data.batches import TrainingBatches
from netdsl.data.prepare import Preparation
from netdsl.train.recipe import Recipe


def training_batches(
    recipe: Recipe,
    data: Data,
    preparation: Preparation,
    seed: int,
    workers: int | None = None,
    part: range | None = None,
) -> TrainingBatches:
    """The training part, prepared and augmented, with the targets that the recipe names; ``part`` of each batch."""
    return TrainingBatches(
        data.train,
        preparation,
        recipe.augmentations(),
        batch=recipe.batch,
        seed=seed,
        kinds=recipe.wanted(),
        void=recipe.void(),
        workers=workers,
        part=part,
        mixup=recipe.mixup(),
    )
