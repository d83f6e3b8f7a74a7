"""What a net can be trained to say of a picture: its class, the class of each pixel, the box of its largest thing."""

from __future__ import annotations

from typing import Literal

import numpy as np

from netdsl.data.annotation import Annotated
from netdsl.data.base import Data, Split
from netdsl.ir.types import DType, TensorType

Kind = Literal["class", "pixels", "box"]

GROUND = "ground"
"""The name of class 0 of pixels, where things have the class numbers from 1 on."""


def kind_of(type: TensorType) -> Kind | None:
    """By a target's type: int32 [] is a class, int32 [H, W] the class of each pixel, float32 [4] a box: left, top,
    right and bottom in shares of the picture. None for all else."""
    if type.dtype is DType.I32:
        return "class" if not type.shape else "pixels" if len(type.shape) == 2 else None
    return "box" if type.shape == (4,) else None


def offered(split: Split) -> frozenset[Kind]:
    """The kinds of targets that a split has."""
    if isinstance(split, Annotated):
        return split.offers
    return frozenset(("class" if np.ndim(split.targets) == 1 else "pixels",))


def usual(split: Split) -> tuple[Kind, ...]:
    """What comes with the pictures where nobody says what is wanted."""
    kinds = offered(split)
    return tuple(kind for kind in ("class", "pixels") if kind in kinds)[:1]


def class_names(data: Data, kind: Kind) -> tuple[str, ...]:
    """The names of the class numbers of a kind of target."""
    return (GROUND, *data.classes) if kind == "pixels" and isinstance(data.train, Annotated) else data.classes
