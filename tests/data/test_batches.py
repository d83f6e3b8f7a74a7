from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.data import ArraySplit, Preparation
from netdsl.data.augment import Crop, Flip, Rotate, Shift
from netdsl.data.batches import TrainingBatches, evaluation_batches
from netdsl.data.prepare import Prepared
from netdsl.data.resize import resize
from netdsl.diagnostics import UserError


def split(count: int, side: int = 4) -> ArraySplit:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 1, side, side), dtype=np.uint8)
    return ArraySplit(pixels, np.arange(count))


PLAIN = Preparation(1, 4, 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 3))
def test_training_sees_every_sample_in_full_batches(count: int, batch: int, epoch: int) -> None:
    batches = TrainingBatches(split(count), PLAIN, [], batch=batch, seed=5)
    seen = [loaded.targets for loaded in batches.epoch(epoch)]
    assert len(seen) == batches.steps == -(-count // batch)
    assert all(len(targets) == batch for targets in seen)
    assert set(np.concatenate(seen)) == set(range(count))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40))
def test_testing_counts_every_sample_once(count: int, batch: int) -> None:
    loaded = list(evaluation_batches(Prepared(split(count), PLAIN), batch))
    counted = np.concatenate([b.targets[: b.count] for b in loaded])
    np.testing.assert_array_equal(counted, np.arange(count))
    assert all(len(b.images) == len(b.targets) == batch for b in loaded)


def test_an_epoch_can_start_in_its_middle() -> None:
    batches = TrainingBatches(split(23), PLAIN, [Shift(1), Flip()], batch=5, seed=1)
    whole = list(batches.epoch(3))
    rest = list(batches.epoch(3, start=2))
    for one, other in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.targets, other.targets)
    assert list(batches.epoch(3, start=5)) == []


def test_a_sample_looks_the_same_in_every_batch_size() -> None:
    def images(batch: int) -> dict[int, np.ndarray]:
        batches = TrainingBatches(split(24), PLAIN, [Shift(2), Flip()], batch=batch, seed=9)
        return {int(t): i for b in batches.epoch(1) for i, t in zip(b.images, b.targets, strict=True)}

    small, large = images(3), images(8)
    for sample, image in small.items():
        np.testing.assert_array_equal(image, large[sample])


def test_shift_moves_zeros_in_and_reaches_every_place() -> None:
    image = np.zeros((4000, 1, 5, 5), dtype=np.float32)
    image[:, :, 2, 2] = 1
    words = np.random.default_rng(0).integers(0, 1 << 32, (4000, 4), dtype=np.uint32)
    shifted = Shift(2)(image, words)
    assert shifted.shape == image.shape
    np.testing.assert_array_equal(shifted.sum(axis=(1, 2, 3)), 1)
    share = shifted.mean(axis=0)[0]
    assert share.min() > 0.02 and share.max() < 0.06


def test_flip_mirrors_half() -> None:
    image = np.tile(np.arange(3, dtype=np.float32), (1000, 1, 1, 1))
    words = np.random.default_rng(0).integers(0, 1 << 32, (1000, 4), dtype=np.uint32)
    first = Flip()(image, words)[:, 0, 0, 0]
    assert set(first) == {0, 2} and 0.4 < (first == 2).mean() < 0.6


def test_rotate_turns_about_the_centre() -> None:
    images = np.random.default_rng(0).random((3, 2, 5, 5), dtype=np.float32)
    ends = np.zeros((3, 4), dtype=np.uint32)
    ends[1], ends[2] = 1 << 31, (1 << 32) - 1
    turned = Rotate(90)(images, ends)
    np.testing.assert_allclose(turned[0], np.rot90(images[0], -1, axes=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(turned[1], images[1], atol=1e-6)
    np.testing.assert_allclose(turned[2], np.rot90(images[2], 1, axes=(1, 2)), atol=1e-5)


def test_crop_cuts_windows_and_testing_cuts_the_centre() -> None:
    preparation = Preparation(1, 4, 4, margin=2)
    data = split(6, side=6)
    batches = TrainingBatches(data, preparation, [Crop(4, 4)], batch=6, seed=0)
    whole = data.pixels.astype(np.float32) / 255
    windows = set()
    for epoch in range(8):
        (loaded,) = batches.epoch(epoch)
        for image, target in zip(loaded.images, loaded.targets, strict=True):
            places = [
                (top, left)
                for top in range(3)
                for left in range(3)
                if np.allclose(whole[target, :, top : top + 4, left : left + 4], image)
            ]
            windows.update(places)
            assert places
    assert len(windows) == 9
    (tested,) = evaluation_batches(Prepared(data, preparation), 6)
    np.testing.assert_allclose(tested.images, whole[:, :, 1:5, 1:5])


def test_normalize_channels_and_cache() -> None:
    preparation = Preparation(3, 4, 4, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    data = split(5)
    kept, made_anew = Prepared(data, preparation), Prepared(data, preparation, cache_bytes=0)
    chosen = np.array([3, 0, 3])
    np.testing.assert_array_equal(kept.images(chosen), made_anew.images(chosen))
    grey = data.image(3)[0]
    expected = np.stack([(grey - 0.5) / 0.5, grey - 0.25, grey / 2])
    np.testing.assert_allclose(preparation(data.image(3)), expected, rtol=1e-6)
    assert Preparation.from_json(preparation.to_json()) == preparation


def test_larger_pictures_show_no_more_than_the_training_pictures_did() -> None:
    small = np.random.default_rng(0).random((1, 4, 4), dtype=np.float32)
    large = small.repeat(5, axis=1).repeat(5, axis=2)
    preparation = Preparation(1, 16, 16, native=(4, 4))
    assert Preparation.from_json(json.loads(json.dumps(preparation.to_json()))) == preparation
    np.testing.assert_allclose(preparation(large), preparation(resize(large, 4, 4)), rtol=1e-6)
    np.testing.assert_array_equal(preparation(small), Preparation(1, 16, 16)(small))


def test_colour_to_grey_weighs_by_brightness() -> None:
    image = np.stack([np.full((4, 4), v, dtype=np.float32) for v in (1.0, 0.5, 0.0)])
    np.testing.assert_allclose(PLAIN(image), 0.299 + 0.5 * 0.587, rtol=1e-6)


def test_inputs_that_no_picture_has() -> None:
    with pytest.raises(UserError, match="input has 5"):
        Preparation(5, 4, 4)
    with pytest.raises(UserError, match="2 values of mean"):
        Preparation(3, 4, 4, mean=(0.0, 0.0))
