"""Cutting an epoch into batches.

Training visits the samples in a fresh seeded order each epoch. Batches are always full: when the batch does
not divide the number of samples, the last one is filled up from the beginning of the same order. So every
sample is seen in every epoch, and the compiled step needs one batch size. Testing visits the samples in their
own order and counts each exactly once: the filled-up places of the last batch are marked and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data import counter
from netdsl.data.ahead import Ahead
from netdsl.data.augment import Augmentation, Samples, augment
from netdsl.data.base import Float32Array, IntArray, Split
from netdsl.data.mixup import Mixup, mixture
from netdsl.data.places import Objects
from netdsl.data.prepare import Preparation, Prepared
from netdsl.data.targets import Kind, usual


@dataclass(frozen=True)
class Mixed:
    """What a batch's samples were mixed with: the ``values`` of the others, and the ``share`` [N] of a sample's own."""

    values: Mapping[Kind, NDArray[Any]]
    share: Float32Array


@dataclass(frozen=True)
class Batch:
    """``images`` [N, C, H, W] as the network takes them; ``values`` what there is to learn of them, by kind: class
    numbers [N], classes of pixels [N, H, W], boxes [N, 4]. Only the first ``count`` samples count; the rest fills
    the batch. ``objects`` are all things of each picture, where asked for. Of ``mixed`` samples ``values`` are the own
    ones."""

    images: Float32Array
    values: Mapping[Kind, NDArray[Any]]
    count: int
    objects: tuple[Objects, ...] | None = None
    mixed: Mixed | None = None

    def shares(self, kind: Kind, classes: int) -> Float32Array:
        """[N, classes, ...] of mixed samples: which share of each class they are (NaN for what is none)."""
        assert self.mixed is not None
        mine, others = (_one_hot(values[kind], classes) for values in (self.values, self.mixed.values))
        return mixture(mine, others, self.mixed.share)

    @property
    def targets(self) -> IntArray:
        """The class numbers, of samples or of pixels."""
        found: IntArray = self.values["class"] if "class" in self.values else self.values["pixels"]
        return found


class TrainingBatches:
    """Batch ``step`` of epoch ``epoch``, as a pure function of the seed.

    ``kinds`` are the targets to load (without it, the split's usual one), ``void`` the class of pixels that come in
    from outside of a picture; ``objects`` adds all things with their boxes. ``workers`` threads load, decode and
    augment; batches have the same bits for any number. With ``mixup`` each sample is mixed with another of the split,
    as that is in the same epoch. ``part`` are the places of each batch that are loaded, without it all.
    """

    def __init__(
        self,
        split: Split,
        preparation: Preparation,
        augmentations: Sequence[Augmentation],
        *,
        batch: int,
        seed: int,
        kinds: Sequence[Kind] | None = None,
        void: int = 0,
        objects: bool = False,
        workers: int | None = None,
        mixup: Mixup | None = None,
        part: range | None = None,
    ) -> None:
        self.prepared = Prepared(split, preparation)
        self.augmentations = tuple(augmentations)
        self.batch, self.seed = batch, seed
        self.kinds = tuple(kinds) if kinds is not None else usual(split)
        self.void, self.objects, self.mixup = void, objects, mixup
        self.part = part if part is not None else range(batch)
        self.ahead = Ahead(workers)

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
        chosen = order[step * self.batch + self.part.start : step * self.batch + self.part.stop]
        batch = self._augmented(epoch, chosen)
        if self.mixup is None:
            return batch
        others = self._augmented(epoch, self.partners(epoch, chosen))
        share = self.mixup.shares(self._mixing(epoch, chosen))
        images = mixture(batch.images, others.images, share)
        return replace(batch, images=images, mixed=Mixed(others.values, share))

    def partners(self, epoch: int, chosen: IntArray) -> IntArray:
        """The samples that those ``chosen`` are mixed with; themselves without mixup."""
        return chosen if self.mixup is None else self.mixup.partners(self._mixing(epoch, chosen), len(self.prepared))

    def _mixing(self, epoch: int, chosen: IntArray) -> NDArray[np.uint32]:
        return counter.words(self.seed, epoch, chosen, counter.MIXUP_STREAM)

    def _augmented(self, epoch: int, chosen: IntArray) -> Batch:
        """Samples as an epoch has them; each is the same in any company."""
        samples = _samples(self.prepared, chosen, self.kinds, self.void, self.objects)
        samples = augment(samples, self.augmentations, seed=self.seed, epoch=epoch, numbers=chosen)
        return _batch(self.prepared, chosen, samples, self.kinds, len(chosen), self.objects)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The epoch's batches from step ``start`` on, the next ones prepared while one is used."""
        order = self.order(epoch)
        return self.ahead.map(lambda step: self.load(epoch, step, order), range(start, self.steps))


def _one_hot(numbers: NDArray[Any], classes: int) -> Float32Array:
    """[N, ...] to [N, classes, ...]; NaN for numbers of no class."""
    known = np.arange(classes).reshape(-1, *([1] * (numbers.ndim - 1)))
    found: Float32Array = (numbers[:, None] == known).astype(np.float32)
    found[np.broadcast_to(((numbers < 0) | (numbers >= classes))[:, None], found.shape)] = np.nan
    return found


def evaluation_batches(
    prepared: Prepared,
    batch: int,
    kinds: Sequence[Kind] | None = None,
    *,
    whole: bool = False,
    workers: int | None = None,
    turn: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """All samples once, in order, in batches of equal size; pictures with their margin if ``whole``.

    With ``turn`` (i, n) only every n-th batch, from number i on.
    """
    wanted = tuple(kinds) if kinds is not None else usual(prepared.split)

    def load(start: int) -> Batch:
        chosen = np.arange(start, min(start + batch, len(prepared)))
        filled = np.resize(chosen, batch)
        samples = _samples(prepared, filled, wanted, 0, False)
        if whole:
            seen = _batch(prepared, filled, samples, wanted, len(chosen), False)
            return replace(seen, images=prepared.preparation.normalize(samples.images))
        return _batch(prepared, filled, samples, wanted, len(chosen), False)

    return Ahead(workers).map(load, range(turn[0] * batch, len(prepared), turn[1] * batch))


def _samples(prepared: Prepared, chosen: NDArray[Any], kinds: Sequence[Kind], void: int, objects: bool) -> Samples:
    pixels = prepared.pixels(chosen) if "pixels" in kinds else None
    things = prepared.objects(chosen) if objects or "box" in kinds else None
    return Samples(prepared.images(chosen), pixels, things, void)


def _batch(
    prepared: Prepared, chosen: NDArray[Any], samples: Samples, kinds: Sequence[Kind], count: int, objects: bool
) -> Batch:
    """Of pictures with their margin or without, before they are normalized."""
    preparation = prepared.preparation
    images, pixels, things = samples.images, samples.pixels, samples.objects
    if images.shape[-2:] != (preparation.height, preparation.width):
        images = preparation.centre(images)
        pixels = None if pixels is None else preparation.centre(pixels)
        things = None if things is None else tuple(map(preparation.centre_objects, things))
    values: dict[Kind, NDArray[Any]] = {}
    if "class" in kinds:
        values["class"] = prepared.split.targets[chosen]
    if "pixels" in kinds and pixels is not None:
        values["pixels"] = pixels
    if "box" in kinds and things is not None:
        values["box"] = np.stack([found.largest(preparation.height, preparation.width) for found in things])
    return Batch(preparation.normalize(images), values, count, things if objects else None)
