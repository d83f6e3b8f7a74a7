"""`--data digits`: 1,797 real handwritten digits that come with netdsl (origin and licence: digits.txt)."""

from __future__ import annotations

import gzip
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import ArraySplit, Data, IntArray

COUNT = 1797
TEST_COUNT = 360
SIDE = 8
WHITE = 16


def load_digits() -> tuple[NDArray[np.uint8], IntArray]:
    """Pixels [1797, 1, 8, 8] of 0..16 (0 is the paper, 16 the ink) and the digits [1797]."""
    packed = resources.files("netdsl.data").joinpath("digits.csv.gz").read_bytes()
    text = gzip.decompress(packed).decode("ascii")
    table = np.array(text.replace("\n", ",").rstrip(",").split(","), dtype=np.int64)
    table = table.reshape(COUNT, SIDE * SIDE + 1)
    pixels = table[:, :-1].astype(np.uint8).reshape(COUNT, 1, SIDE, SIDE)
    return pixels, np.ascontiguousarray(table[:, -1])


def digits() -> Data:
    pixels, labels = load_digits()
    cut = COUNT - TEST_COUNT
    return Data(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        train=ArraySplit(pixels[:cut], labels[:cut], WHITE),
        test=ArraySplit(pixels[cut:], labels[cut:], WHITE),
        native=(SIDE, SIDE),
    )
