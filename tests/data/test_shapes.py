from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.data import open_data
from netdsl.data.annotation import Annotated, Polygons, Runs, box_of
from netdsl.data.shapes import shapes
from netdsl.diagnostics import UserError


def test_pictures_are_the_same_on_every_machine() -> None:
    data = open_data("shapes:objects=3,size=40,seed=5")
    together = b"".join(np.rint(255 * data.train.image(i)).astype(np.uint8).tobytes() for i in range(20))
    assert hashlib.sha256(together).hexdigest() == "e2b15b7abfee18e737c189b83330ce21dbf7ba9c9f741ab93e591ac15f82baf8"


def test_classes_come_in_equal_numbers() -> None:
    data = open_data("shapes:train=30,test=12")
    assert data.classes == ("circle", "square", "triangle") and data.native == (32, 32)
    assert np.bincount(data.train.targets).tolist() == [10, 10, 10]
    assert data.train.image(0).shape == (3, 32, 32)
    assert 0 <= data.train.image(0).min() < data.train.image(0).max() <= 1


def test_the_parts_and_seeds_differ() -> None:
    one, other = shapes(train=5, test=5), shapes(train=5, test=5, seed=1)
    assert not np.array_equal(one.train.image(0), one.test.image(0))
    assert not np.array_equal(one.train.image(0), other.train.image(0))


def test_one_object_has_the_class_of_its_picture() -> None:
    data = shapes(train=60, test=1)
    for index in range(60):
        (thing,) = data.train.instances(index)  # type: ignore[attr-defined]
        assert thing.label == data.train.targets[index]


def test_things_lie_in_their_boxes_and_apart() -> None:
    split = shapes(train=40, test=1, objects=5, size=48).train
    assert isinstance(split, Annotated)
    counts = set()
    for index in range(40):
        things, pixels = split.instances(index), split.pixels(index)
        counts.add(len(things))
        masks = [thing.mask.raster(48, 48) for thing in things]  # type: ignore[union-attr]
        assert np.sum(masks, axis=0).max() == 1
        for thing, mask in zip(things, masks, strict=True):
            assert thing.box == box_of(mask)
            assert set(pixels[mask]) == {1 + thing.label}
        assert not pixels[~np.any(masks, axis=0)].any()
    assert counts >= {1, 2, 3, 4}


def test_a_thing_differs_from_its_ground() -> None:
    split = shapes(train=50, test=1).train
    for index in range(50):
        image, inside = split.image(index), split.pixels(index) > 0  # type: ignore[attr-defined]
        assert np.abs(image[:, inside].mean(axis=1) - image[:, ~inside].mean(axis=1)).max() > 0.1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("shapes:sise=64", "no setting `sise`"),
        ("shapes:size=8", "from 16 to 1,024, found `8`"),
        ("shapes:size=x", "found `x`"),
        ("shapes:size=32,size=32", "found two values"),
        ("shapes:train=0", "found `0`"),
        ("shapes:train=99999999999999999999", "whole number"),
        ("shapes:,", "no setting ``"),
    ],
)
def test_settings_that_cannot_be(name: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        open_data(name)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_runs_keep_every_mask(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    runs = Runs.of(mask)
    np.testing.assert_array_equal(runs.raster(height, width), mask)
    assert runs.lengths.sum() == height * width
    with pytest.raises(ValueError, match="runs of"):
        runs.raster(height + 1, width)


def test_polygons_cover_the_pixels_whose_centres_are_inside() -> None:
    square = Polygons((np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 4.0], [1.0, 4.0]]),))
    expected = np.zeros((5, 6), dtype=bool)
    expected[1:4, 1:3] = True
    np.testing.assert_array_equal(square.raster(5, 6), expected)
    ring = np.array([[0.0, 0.0], [6.0, 0.0], [6.0, 6.0], [0.0, 6.0], [0.0, 0.0], [2.0, 2.0], [4.0, 2.0], [4.0, 4.0],
                     [2.0, 4.0], [2.0, 2.0]])  # fmt: skip
    hollow = Polygons((ring,)).raster(6, 6)
    assert hollow.sum() == 32 and not hollow[2:4, 2:4].any()
    far = Polygons((np.array([[-5.0, -5.0], [90.0, -5.0], [90.0, 90.0], [-5.0, 90.0]]),))
    assert far.raster(3, 4).all()


def test_a_polygon_has_the_area_of_its_circle() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = Polygons((np.stack([50 + 30 * np.cos(angles), 50 + 30 * np.sin(angles)], axis=1),))
    assert circle.raster(100, 100).sum() == pytest.approx(np.pi * 900, rel=0.01)
