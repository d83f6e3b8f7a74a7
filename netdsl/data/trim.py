"""Cutting a picture to what stands out from its ground."""

from __future__ import annotations

import numpy as np

from netdsl.data.base import Float32Array

MIN_CONTRAST = 0.15


def trimmed(image: Float32Array) -> Float32Array:
    """Cut [C, H, W] to the box around its subject, and make that square with more of the ground.

    The ground is the median colour of the picture's edge; the subject is what differs from it by more than
    half of the largest difference. A picture in which nothing stands out stays as it is.
    """
    channels = len(image)
    edge = np.concatenate([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], axis=1)
    ground = np.median(edge, axis=1).astype(np.float32).reshape(channels, 1, 1)
    difference = np.abs(image - ground).max(axis=0)
    contrast = float(difference.max())
    if contrast < MIN_CONTRAST:
        return image
    subject = difference > contrast / 2
    rows, columns = np.flatnonzero(subject.any(axis=1)), np.flatnonzero(subject.any(axis=0))
    box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = box.shape[1:]
    side = max(height, width)
    square = np.broadcast_to(ground, (channels, side, side)).copy()
    top, left = (side - height) // 2, (side - width) // 2
    square[:, top : top + height, left : left + width] = box
    return square
