"""From the names of a `train` block to the changes of pictures that they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netdsl.data import colour
from netdsl.data.augment import Augmentation, Crop, Flip, ResizedCrop, Rotate, Scale, Shear, Shift

CROPS = ("crop", "resized_crop")
"""Come first: the others work at the network's size."""

MOVING = (*CROPS, "shift", "rotate", "scale", "shear", "flip")
"""Those that classes of pixels, and boxes, have to follow."""

COLOURED = ("saturation", "hue", "pca_noise")
"""Those that need red, green and blue."""


@dataclass(frozen=True)
class Input:
    """What pictures become: their size, and the mean that normalization takes away."""

    height: int
    width: int
    mean: tuple[float, ...]


_Arguments = Mapping[str, Any]
_MAKERS: Mapping[str, Callable[[_Arguments, Input], Augmentation]] = {
    "crop": lambda args, to: Crop(to.height, to.width),
    "resized_crop": lambda args, to: ResizedCrop(to.height, to.width, float(args["area"]), float(args["ratio"])),
    "shift": lambda args, to: Shift(int(args["pixels"])),
    "rotate": lambda args, to: Rotate(float(args["degrees"])),
    "scale": lambda args, to: Scale(float(args["factor"])),
    "shear": lambda args, to: Shear(float(args["degrees"])),
    "flip": lambda args, to: Flip(),
    "brightness": lambda args, to: colour.Brightness(float(args["amount"])),
    "contrast": lambda args, to: colour.Contrast(float(args["amount"])),
    "saturation": lambda args, to: colour.Saturation(float(args["amount"])),
    "hue": lambda args, to: colour.Hue(float(args["degrees"])),
    "pca_noise": lambda args, to: colour.PcaNoise(float(args["sigma"])),
    "cutout": lambda args, to: colour.Cutout(int(args["pixels"]), to.mean),
}


def made(steps: Sequence[tuple[str, _Arguments]], to: Input) -> list[Augmentation]:
    """The random changes among the `augment` entries (name, arguments), in the order of the file, crops first."""
    ordered = sorted(steps, key=lambda step: step[0] not in CROPS)
    return [_MAKERS[name](arguments, to) for name, arguments in ordered if name in _MAKERS]


def margin_of(steps: Sequence[tuple[str, _Arguments]]) -> int:
    """Rows and columns that crops want beyond the network's size."""
    return max((int(arguments["margin"]) for name, arguments in steps if name in CROPS), default=0)
