"""Where the pixels of changed pictures come from, and what follows from it for pictures, classes and boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.data.annotation import Instance
from netdsl.data.base import Float32Array, IntArray

Floats = NDArray[np.float64]

MIN_VISIBLE = 0.1
"""A thing of which less of its box than this is left in the picture is gone."""


@dataclass(frozen=True)
class Objects:
    """The K things of one picture: class numbers [K], boxes [K, 4] (left, top, right, bottom in pixels, edges from
    0), and which count for nothing in measures [K]."""

    labels: IntArray
    boxes: Floats
    hard: NDArray[np.bool_]

    @classmethod
    def of(cls, things: tuple[Instance, ...]) -> Objects:
        boxes = np.array([thing.box for thing in things], dtype=np.float64).reshape(-1, 4)
        labels = np.array([thing.label for thing in things], dtype=np.int64)
        return cls(labels, boxes, np.array([thing.hard for thing in things], dtype=bool))

    def framed(self, scale: tuple[float, float], corner: tuple[float, float], height: int, width: int) -> Objects:
        """In a picture scaled by (down, right), of which the window of [height, width] at ``corner`` is seen."""
        down, right = scale
        top, left = corner
        return self._seen(self.boxes * [right, down, right, down] - [left, top, left, top], height, width)

    def _seen(self, boxes: Floats, height: int, width: int) -> Objects:
        """With other boxes, cut to the picture; without those of which next to nothing is left."""
        limits = np.array([width, height, width, height], dtype=np.float64)
        cut = np.clip(boxes, 0, limits)
        kept = _area(cut) > MIN_VISIBLE * np.maximum(_area(boxes), 1e-9)
        return Objects(self.labels[kept], cut[kept], self.hard[kept])

    def largest(self, height: int, width: int) -> Float32Array:
        """The box of the largest thing in shares of the picture [4]; zeros where there is nothing."""
        if not len(self.boxes):
            return np.zeros(4, dtype=np.float32)
        box = self.boxes[int(_area(self.boxes).argmax())]
        return np.asarray(box / [width, height, width, height], dtype=np.float32)


@dataclass(frozen=True)
class Places:
    """``matrix`` [N, 2, 3] makes of (row, column, 1) of a pixel of a result [height, width] the row and column of
    the place in the picture where it comes from (whole numbers are the centres of pixels). Outside of the picture
    are zeros, or with ``repeat_edges`` its nearest pixels."""

    matrix: Floats
    height: int
    width: int
    repeat_edges: bool = False

    @classmethod
    def shifted(cls, top: IntArray, left: IntArray, height: int, width: int) -> Places:
        """Windows [height, width] whose first pixels are (top, left), [N] each."""
        matrix = np.tile(np.eye(2, 3), (len(top), 1, 1))
        matrix[:, 0, 2], matrix[:, 1, 2] = top, left
        return cls(matrix, height, width)

    def _sources(self) -> tuple[Floats, Floats]:
        """Rows and columns in the picture, [N, height, width] each."""
        row, column = np.arange(self.height)[:, None], np.arange(self.width)
        m = self.matrix[:, :, :, None, None]
        rows = m[:, 0, 0] * row + m[:, 0, 1] * column + m[:, 0, 2]
        return rows, m[:, 1, 0] * row + m[:, 1, 1] * column + m[:, 1, 2]

    def nearest(self, pixels: IntArray, void: int) -> IntArray:
        """Classes of pixels [N, H, W] moved; ``void`` comes in from outside."""
        rows, columns = self._sources()
        height, width = pixels.shape[1:]
        if self.repeat_edges:
            rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        at = np.floor(rows + 0.5).astype(np.int64), np.floor(columns + 0.5).astype(np.int64)
        inside = (at[0] >= 0) & (at[0] < height) & (at[1] >= 0) & (at[1] < width)
        samples = np.arange(len(pixels))[:, None, None]
        values = pixels[samples, np.clip(at[0], 0, height - 1), np.clip(at[1], 0, width - 1)]
        return np.where(inside, values, void)

    def moved(self, objects: tuple[Objects, ...]) -> tuple[Objects, ...]:
        """The things of N pictures: the boxes around their boxes' moved corners, cut to the picture."""
        forth = np.linalg.inv(self.matrix[:, :, :2])
        return tuple(
            things._seen(_around(things.boxes, turn, offset), self.height, self.width)
            for things, turn, offset in zip(objects, forth, self.matrix[:, :, 2], strict=True)
        )

    def bilinear(self, images: Float32Array) -> Float32Array:
        """Pictures [N, C, H, W] moved."""
        rows, columns = self._sources()
        if self.repeat_edges:
            rows = np.clip(rows, 0, images.shape[2] - 1)
            columns = np.clip(columns, 0, images.shape[3] - 1)
        return _sample(images, rows, columns)


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), dtype=np.float64)


def _around(boxes: Floats, turn: Floats, offset: Floats) -> Floats:
    """Boxes around the corners of boxes [K, 4], which ``turn`` [2, 2] takes to (row, column) once ``offset`` is off.
    Edges lie half a pixel before centres."""
    corners = boxes[:, [[1, 0], [1, 2], [3, 0], [3, 2]]] - 0.5  # [K, 4, (row, column)]
    moved = (corners - offset) @ turn.T + 0.5
    low, high = moved.min(axis=1), moved.max(axis=1)
    return np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1)


def _sample(images: Float32Array, rows: Floats, columns: Floats) -> Float32Array:
    """Bilinear values of [N, C, H, W] at places [N, H', W'], with zeros around the picture."""
    count, channels, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    rows, columns = np.clip(rows + 1, 0, height + 1), np.clip(columns + 1, 0, width + 1)
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    down, right = (rows - top).astype(np.float32)[:, None], (columns - left).astype(np.float32)[:, None]
    line, plane = width + 3, (height + 3) * (width + 3)
    corner = (top * line + left)[:, None] + np.arange(count * channels).reshape(count, channels, 1, 1) * plane
    flat = padded.reshape(-1)
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[corner + line] * (1 - right) + flat[corner + line + 1] * right
    values: Float32Array = upper * (1 - down) + lower * down
    return values
