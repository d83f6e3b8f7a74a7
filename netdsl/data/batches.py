"""Cutting an epoch into batches.

Training visits the samples in a fresh seeded order each epoch. Batches are always full: when the batch does
not divide the number of samples, the last one is filled up from the beginning of the same order. So every
sample is seen in every epoch, and the compiled step needs one batch size. Testing visits the samples in their
own order and counts each exactly once: the filled-up places of the last batch are marked and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdsl.data import counter
from netdsl.data.augment import Augmentation, augment
from netdsl.data.base import Float32Array, IntArray, Split
from netdsl.data.prepare import Preparation, Prepared


@dataclass(frozen=True)
class Batch:
    """``images`` [N, C, H, W] as the network takes them and ``targets`` [N, ...]. Only the first ``count``
    samples count; the rest fills the batch."""

    images: Float32Array
    targets: IntArray
    count: int


class TrainingBatches:
    """Batch ``step`` of epoch ``epoch``, as a pure function of the seed."""

    def __init__(
        self,
        split: Split,
        preparation: Preparation,
        augmentations: Sequence[Augmentation],
        *,
        batch: int,
        seed: int,
    ) -> None:
        self.prepared = Prepared(split, preparation)
        self.augmentations = tuple(augmentations)
        self.batch, self.seed = batch, seed

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-len(self.prepared) // self.batch)

    def order(self, epoch: int) -> IntArray:
        """The samples of all the epoch's batches in a row, [steps * batch]."""
        order = counter.permutation(self.seed, epoch, len(self.prepared))
        return np.resize(order, self.steps * self.batch)

    def load(self, epoch: int, step: int, order: IntArray) -> Batch:
        """Batch ``step`` of an epoch whose `order` the caller holds."""
        chosen = order[step * self.batch : (step + 1) * self.batch]
        images = self.prepared.images(chosen)
        images = augment(images, self.augmentations, seed=self.seed, epoch=epoch, samples=chosen)
        preparation = self.prepared.preparation
        if images.shape[-2:] != (preparation.height, preparation.width):
            images = preparation.centre(images)
        return Batch(preparation.normalize(images), self.prepared.split.targets[chosen], self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from step ``start`` on, the next one prepared while one is used."""
        from concurrent.futures import ThreadPoolExecutor

        order = self.order(epoch)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="netdsl-data") as pool:
            following = pool.submit(self.load, epoch, start, order) if start < self.steps else None
            for step in range(start, self.steps):
                assert following is not None
                batch = following.result()
                following = pool.submit(self.load, epoch, step + 1, order) if step + 1 < self.steps else None
                yield batch


def evaluation_batches(prepared: Prepared, batch: int) -> Iterator[Batch]:
    """All samples once, in order, in batches of equal size."""
    preparation = prepared.preparation
    targets: np.ndarray[Any, Any] = prepared.split.targets
    for start in range(0, len(prepared), batch):
        chosen = np.arange(start, min(start + batch, len(prepared)))
        filled = np.resize(chosen, batch)
        images = preparation.normalize(preparation.centre(prepared.images(filled)))
        yield Batch(images, targets[filled], len(chosen))
