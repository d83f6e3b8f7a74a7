"""From a picture of any size to a network's input; the same for training, testing and predicting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from netdsl.data.base import Fit, Float32Array, Split
from netdsl.data.resize import cover, resize
from netdsl.diagnostics import Code, UserError

CACHE_BYTES = 512 << 20

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an input of [channels, height, width].

    ``fit`` says what happens to other aspect ratios: ``stretch`` distorts, ``cover`` keeps the ratio and
    cuts the centre out. ``native`` is the size (height, width) that all the training pictures had: larger
    ones are brought to it first, so that they show no more detail. ``margin`` more rows and columns are
    kept for cropping. Finally (value - mean) / std, one number for all channels or one a channel, with
    values of 0..1.
    """

    channels: int
    height: int
    width: int
    fit: Fit = "stretch"
    margin: int = 0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    native: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UserError.of(
                Code.DATA_SHAPE,
                f"pictures have 1 or 3 channels, the network's input has {self.channels}",
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise UserError.of(
                    Code.TRAIN_SETTING,
                    f"`normalize` has {len(values)} values of {name}; the input has {self.channels} channels",
                )

    def widen(self, image: Float32Array) -> Float32Array:
        """[C', H', W'] in 0..1 to [C, height + margin, width + margin] in 0..1."""
        image = _with_channels(image, self.channels)
        fit = cover if self.fit == "cover" else resize
        if self.native is not None and (image.shape[1] > self.native[0] or image.shape[2] > self.native[1]):
            image = fit(image, *self.native)
        return fit(image, self.height + self.margin, self.width + self.margin)

    def centre(self, images: Float32Array) -> Float32Array:
        """Cut the margin off evenly: [..., H + margin, W + margin] to [..., H, W]."""
        start = self.margin // 2
        return images[..., start : start + self.height, start : start + self.width]

    def normalize(self, images: Float32Array) -> Float32Array:
        """(value - mean) / std on [..., C, H, W]."""
        mean = np.array(self.mean, dtype=np.float32).reshape(-1, 1, 1)
        std = np.array(self.std, dtype=np.float32).reshape(-1, 1, 1)
        return np.ascontiguousarray((images - mean) / std, dtype=np.float32)

    def __call__(self, image: Float32Array) -> Float32Array:
        """One picture as the network takes it when testing and predicting: [C, H, W]."""
        return self.normalize(self.centre(self.widen(image)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Preparation:
        """Raises ValueError, TypeError or KeyError on fields that `to_json` never writes."""
        if fields["fit"] not in ("stretch", "cover"):
            raise ValueError(f"unknown fit {fields['fit']!r}")
        native = fields["native"]
        return cls(
            channels=int(fields["channels"]),
            height=int(fields["height"]),
            width=int(fields["width"]),
            fit=fields["fit"],
            margin=int(fields["margin"]),
            mean=tuple(float(value) for value in fields["mean"]),
            std=tuple(float(value) for value in fields["std"]),
            native=None if native is None else (int(native[0]), int(native[1])),
        )


def _with_channels(image: Float32Array, channels: int) -> Float32Array:
    if len(image) == channels:
        return image
    if len(image) == 1:
        return np.repeat(image, channels, axis=0)
    return np.tensordot(_LUMA, image, axes=1)[None].astype(np.float32)


class Prepared:
    """A split's pictures after `Preparation.widen`, kept in memory where they fit."""

    def __init__(self, split: Split, preparation: Preparation, cache_bytes: int = CACHE_BYTES) -> None:
        self.split, self.preparation = split, preparation
        p = preparation
        shape = (len(split), p.channels, p.height + p.margin, p.width + p.margin)
        fits = 4 * int(np.prod(shape)) <= cache_bytes
        self._cache = np.empty(shape, dtype=np.float32) if fits else None
        self._known = np.zeros(len(split), dtype=bool)

    def __len__(self) -> int:
        return len(self.split)

    def images(self, indices: np.ndarray[Any, Any]) -> Float32Array:
        """[len(indices), C, H + margin, W + margin] in 0..1."""
        if self._cache is None:
            return np.stack([self._one(int(index)) for index in indices])
        for index in np.unique(indices[~self._known[indices]]):
            self._cache[index] = self._one(int(index))
            self._known[index] = True
        chosen: Float32Array = self._cache[indices]
        return chosen

    def _one(self, index: int) -> Float32Array:
        return self.preparation.widen(self.split.image(index))
