"""Augmentations: the same sample whatever batch and thread, and pixels and boxes that stay with their picture."""

from __future__ import annotations

import colorsys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.data import ArraySplit, Preparation, open_data
from netdsl.data.ahead import Ahead
from netdsl.data.annotation import Annotated, Instance
from netdsl.data.augment import (
    Augmentation,
    Crop,
    Flip,
    Moving,
    ResizedCrop,
    Rotate,
    Samples,
    Scale,
    Shear,
    Shift,
    augment,
)
from netdsl.data.batches import TrainingBatches
from netdsl.data.colour import Brightness, Contrast, Cutout, Hue, PcaNoise, Saturation
from netdsl.data.places import Objects

SIDE = 24
MOVES: list[Moving] = [
    Crop(20, 18), ResizedCrop(20, 30, 0.3, 0.6), Shift(5), Flip(), Rotate(40), Scale(1.7), Shear(25),
]  # fmt: skip
COLOURS: list[Augmentation] = [
    Brightness(0.5), Contrast(0.5), Saturation(0.6), Hue(60), PcaNoise(0.2), Cutout(7, (0.5,)),
]  # fmt: skip
EVERY = [*MOVES, *COLOURS]


def named(change: Augmentation) -> str:
    return type(change).__name__


def words(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 32, (count, 4), dtype=np.uint32)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(7).random((count, 3, SIDE, SIDE), dtype=np.float32)


@pytest.mark.parametrize("change", EVERY, ids=named)
def test_a_sample_does_not_depend_on_its_batch(change: Augmentation) -> None:
    images, random = pictures(9), words(9)
    together = change(images, random)
    assert together.dtype == np.float32 and together.min() >= 0 and together.max() <= 1
    for index in range(9):
        np.testing.assert_array_equal(change(images[index : index + 1], random[index : index + 1])[0], together[index])
    assert len({array.tobytes() for array in change(np.repeat(images[:1], 9, axis=0), random)}) > 1


@pytest.mark.parametrize("change", MOVES, ids=named)
def test_pixels_and_boxes_stay_with_the_picture(change: Moving) -> None:
    """A white box on black ground: its pixels and its box are found again where the picture shows it."""
    box = np.array([7.0, 9.0, 18.0, 15.0])
    pixels = np.zeros((40, SIDE, SIDE), dtype=np.int64)
    pixels[:, 9:15, 7:18] = 1
    images = np.repeat(pixels[:, None].astype(np.float32), 3, axis=1)
    things = tuple(Objects.of((Instance(2, tuple(box)),)) for _ in range(40))
    moved = augment(Samples(images, pixels, things), [change], seed=3, epoch=1, numbers=np.arange(40))
    assert moved.pixels is not None and moved.objects is not None
    height, width = moved.images.shape[2:]
    assert moved.pixels.shape == (40, height, width)
    for image, classes, found in zip(moved.images, moved.pixels, moved.objects, strict=True):
        sure = np.abs(image[0] - 0.5) > 0.45
        np.testing.assert_array_equal(classes[sure], image[0][sure] > 0.5)
        rows, columns = np.flatnonzero(classes.any(axis=1)), np.flatnonzero(classes.any(axis=0))
        if not len(rows):
            assert len(found.boxes) == 0 or float((found.boxes[0, 2:] - found.boxes[0, :2]).min()) < 1
            continue
        shown = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        if len(found.boxes):
            (around,) = found.boxes
            assert found.labels[0] == 2
            assert (around[:2] <= np.array(shown[:2]) + 0.51).all() and (around[2:] >= np.array(shown[2:]) - 0.51).all()
            if not isinstance(change, (Rotate, Shear)):
                np.testing.assert_allclose(around, shown, atol=0.51)


def test_what_comes_in_has_the_void_class() -> None:
    pixels = np.zeros((50, 6, 6), dtype=np.int64)
    samples = Samples(np.ones((50, 1, 6, 6), dtype=np.float32), pixels, None, 99)
    moved = augment(samples, [Shift(3)], seed=0, epoch=0, numbers=np.arange(50))
    assert moved.pixels is not None
    np.testing.assert_array_equal(moved.pixels == 99, moved.images[:, 0] == 0)


def test_a_thing_that_left_the_picture_is_gone() -> None:
    things = tuple(Objects.of((Instance(0, (0.0, 0.0, 3.0, 3.0)),)) for _ in range(100))
    samples = Samples(np.ones((100, 1, 20, 20), dtype=np.float32), None, things)
    moved = augment(samples, [Crop(8, 8)], seed=0, epoch=0, numbers=np.arange(100)).objects
    assert moved is not None
    assert {len(found.boxes) for found in moved} == {0, 1}
    assert all(found.boxes.min() >= 0 and found.boxes.max() <= 3 for found in moved if len(found.boxes))


def test_resized_crops_keep_to_their_shares() -> None:
    change = ResizedCrop(10, 10, 0.25, 0.5)
    places = change.places(words(2000), 40, 60)
    rows, columns = places.matrix[:, 0, 0] * 10, places.matrix[:, 1, 1] * 10
    share = rows * columns / 2400
    assert share.min() > 0.2 and share.max() <= 1.0001 and 0.5 < share.mean() < 0.7
    assert rows.max() <= 40 and columns.max() <= 60
    whole = ResizedCrop(24, 24, 1.0, 1.0)(pictures(2), words(2))
    np.testing.assert_allclose(whole, pictures(2), atol=1e-5)


def test_scale_is_as_often_larger_as_smaller() -> None:
    factors = Scale(2.0).linear(words(4000))[0]
    assert factors.min() >= 0.5 and factors.max() <= 2 and abs(np.log(factors).mean()) < 0.03


def test_hue_turns_colours_and_keeps_grey_and_brightness() -> None:
    grey = np.full((5, 3, 4, 4), 0.4, dtype=np.float32)
    np.testing.assert_allclose(Hue(180)(grey, words(5)), grey, atol=1e-3)
    image = np.tile(np.array([0.6, 0.4, 0.4], dtype=np.float32)[:, None, None], (200, 1, 2, 2))
    turned = Hue(60)(image, words(200))
    luma = np.tensordot([0.299, 0.587, 0.114], turned, axes=(0, 1))
    np.testing.assert_allclose(luma, 0.299 * 0.6 + 0.701 * 0.4, atol=2e-3)
    hues = np.array([(colorsys.rgb_to_hsv(*picture[:, 0, 0])[0] + 0.5) % 1 - 0.5 for picture in turned])
    assert hues.min() < -0.1 and hues.max() > 0.1


def test_saturation_contrast_and_brightness_of_nothing_change_nothing() -> None:
    images = pictures(3)
    for change in (Saturation(0.0), Contrast(0.0), Brightness(0.0), Hue(0.0), PcaNoise(0.0)):
        np.testing.assert_allclose(change(images, words(3)), images, atol=2e-3)


def test_pca_noise_has_the_deviations_of_the_components() -> None:
    images = np.full((20_000, 3, 1, 1), 0.5, dtype=np.float32)
    added = PcaNoise(0.1)(images, words(20_000))[:, :, 0, 0] - 0.5
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(added.T)))
    np.testing.assert_allclose(spread[::-1], [0.02175, 0.00188, 0.00045], rtol=0.03)


def test_cutout_hides_a_square() -> None:
    changed = Cutout(6, (0.1, 0.2, 0.3))(np.ones((500, 3, 10, 12), dtype=np.float32), words(500))
    hidden = changed[:, 0] != 1
    assert hidden.sum(axis=(1, 2)).max() == 36 and hidden.any(axis=0).all()
    np.testing.assert_allclose(changed[:, 2][hidden], 0.3)


def batches(workers: int, seed: int = 4) -> list[tuple[bytes, ...]]:
    data = open_data("shapes:size=32,train=70,test=3,objects=3")
    loaded = TrainingBatches(
        data.train,
        Preparation(3, 24, 24, margin=4),
        [Crop(24, 24), *MOVES[2:], *COLOURS],
        batch=8,
        seed=seed,
        kinds=("pixels", "box"),
        objects=True,
        workers=workers,
    )
    result = []
    for epoch in range(2):
        for batch in loaded.epoch(epoch):
            assert batch.objects is not None
            boxes = b"".join(found.boxes.tobytes() for found in batch.objects)
            result.append((batch.images.tobytes(), *(array.tobytes() for array in batch.values.values()), boxes))
    return result


def test_any_number_of_workers_gives_the_same_bits() -> None:
    assert batches(1) == batches(3) == batches(8)
    assert batches(1, seed=5) != batches(1)


def test_boxes_and_pixels_of_prepared_pictures_agree() -> None:
    """Enlarged, cut, cropped, mirrored: the box of the largest thing is where its pixels are."""
    data = open_data("shapes:size=40,train=60,test=1")
    for fit in ("stretch", "cover"):
        loaded = TrainingBatches(
            data.train,
            Preparation(3, 48, 32, fit=fit, margin=6),  # type: ignore[arg-type]
            [Crop(48, 32), Flip()],
            batch=60,
            seed=1,
            kinds=("pixels", "box"),
        )
        (batch,) = loaded.epoch(0)
        checked = 0
        for classes, box in zip(batch.values["pixels"], batch.values["box"], strict=True):
            rows, columns = np.flatnonzero(classes.any(axis=1)), np.flatnonzero(classes.any(axis=0))
            if len(rows) and box.min() > 0 and box.max() < 1:  # (what is cut off may have been what reached farthest)
                shown = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
                np.testing.assert_allclose(box * [32, 48, 32, 48], shown, atol=1.01)
                checked += 1
        assert checked > 5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["stretch", "cover"]), st.booleans())
def test_the_frame_is_where_widen_shows_places(rows: int, columns: int, fit: str, native: bool) -> None:
    preparation = Preparation(1, 17, 23, fit=fit, margin=3, native=(20, 20) if native else None)  # type: ignore[arg-type]
    (down, _), (top, _) = preparation.frame(rows, columns)
    ramp = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None] + 0.5, (1, rows, columns)).copy()
    shown = preparation.widen(ramp)[0, :, 13]
    expected = (np.arange(20) + 0.5 + top) / down
    inside = (expected > 2 + 1 / down) & (expected < rows - 2 - 1 / down)
    np.testing.assert_allclose(shown[inside], expected[inside], rtol=0.02, atol=0.02)


def test_workers_stay_ahead_and_waiting_is_counted() -> None:
    ahead = Ahead(3)
    running, most, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
        time.sleep(0.01)
        with lock:
            running -= 1
        return number

    assert list(ahead.map(work, range(30))) == list(range(30))
    assert 1 < most <= 3 and 0 < ahead.waited < 5


def test_an_error_in_a_worker_arrives_and_stopping_early_works(tmp_path: Path) -> None:
    def work(number: int) -> int:
        if number == 5:
            raise ValueError("no such sample")
        return number

    taken = []
    with pytest.raises(ValueError, match="no such sample"):
        for number in Ahead(2).map(work, range(9)):
            taken.append(number)
    assert taken == [0, 1, 2, 3, 4]
    stopped = Ahead(2).map(work, range(4))
    assert next(stopped) == 0
    stopped.close()  # type: ignore[attr-defined]


def test_an_annotated_split_is_told_from_a_plain_one() -> None:
    data = open_data("shapes:train=3,test=3")
    assert isinstance(data.train, Annotated)
    assert not isinstance(ArraySplit(np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64)), Annotated)
