"""From a picture of any size to a network's input; the same for training, testing and predicting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

import numpy as np

from netdsl.data.annotation import Annotated, Instance
from netdsl.data.base import Fit, Float32Array, IntArray, Split
from netdsl.data.places import Objects
from netdsl.data.resize import cover, covering, resize
from netdsl.diagnostics import Code, UserError

Image = TypeVar("Image", Float32Array, IntArray)
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

    def frame(self, rows: int, columns: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """What `widen` does to places in a picture of [rows, columns]: the scale (down, right), and the (top, left)
        of what is seen in the scaled picture."""
        scale, corner = (1.0, 1.0), (0.0, 0.0)
        sizes = [(self.height + self.margin, self.width + self.margin)]
        if self.native is not None and (rows > self.native[0] or columns > self.native[1]):
            sizes.insert(0, self.native)
        for height, width in sizes:
            scaled = covering(rows, columns, height, width) if self.fit == "cover" else (height, width)
            down, right = scaled[0] / rows, scaled[1] / columns
            top, left = (scaled[0] - height) // 2, (scaled[1] - width) // 2
            scale = scale[0] * down, scale[1] * right
            corner = corner[0] * down + top, corner[1] * right + left
            rows, columns = height, width
        return scale, corner

    def widen_pixels(self, pixels: IntArray) -> IntArray:
        """The class of each pixel [H', W'] as `widen` shows the picture: [height + margin, width + margin], of the
        nearest pixel."""
        (down, right), (top, left) = self.frame(*pixels.shape)
        rows = ((np.arange(self.height + self.margin) + 0.5 + top) / down).astype(np.int64)
        columns = ((np.arange(self.width + self.margin) + 0.5 + left) / right).astype(np.int64)
        rows, columns = np.minimum(rows, pixels.shape[0] - 1), np.minimum(columns, pixels.shape[1] - 1)
        shown: IntArray = pixels[rows[:, None], columns]
        return shown

    def widen_objects(self, things: tuple[Instance, ...], rows: int, columns: int) -> Objects:
        """The things in a picture of [rows, columns] as `widen` shows them."""
        scale, corner = self.frame(rows, columns)
        return Objects.of(things).framed(scale, corner, self.height + self.margin, self.width + self.margin)

    def centre_objects(self, objects: Objects) -> Objects:
        """With the margin cut off as `centre` does."""
        start = float(self.margin // 2)
        return objects.framed((1.0, 1.0), (start, start), self.height, self.width)

    def centre(self, images: Image) -> Image:
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
    red, green, blue = (plane * weight for plane, weight in zip(image, _LUMA, strict=True))
    grey: Float32Array = (red + green + blue)[None]
    return grey


class Prepared:
    """A split's pictures after `Preparation.widen`, with what is known of them; pictures and classes of pixels are
    kept in memory where they fit. Several threads may ask at once: what two make twice is the same."""

    def __init__(self, split: Split, preparation: Preparation, cache_bytes: int = CACHE_BYTES) -> None:
        self.split, self.preparation = split, preparation
        p = preparation
        size = (len(split), p.height + p.margin, p.width + p.margin)
        fits = 4 * p.channels * int(np.prod(size)) <= cache_bytes
        self._images = _Kept(np.float32, self._image, size[0], fits)
        self._pixels = _Kept(np.int64, self._classes, size[0], fits)
        self._objects: dict[int, Objects] = {}

    def __len__(self) -> int:
        return len(self.split)

    def images(self, indices: np.ndarray[Any, Any]) -> Float32Array:
        """[len(indices), C, H + margin, W + margin] in 0..1."""
        return self._images.get(indices)

    def pixels(self, indices: np.ndarray[Any, Any]) -> IntArray:
        """[len(indices), H + margin, W + margin] class numbers, of splits that have them."""
        return self._pixels.get(indices)

    def objects(self, indices: np.ndarray[Any, Any]) -> tuple[Objects, ...]:
        """The things of each picture, of splits that are `Annotated`."""
        return tuple(self._things(int(index)) for index in indices)

    def _image(self, index: int) -> Float32Array:
        return self.preparation.widen(self.split.image(index))

    def _classes(self, index: int) -> IntArray:
        split = self.split
        if isinstance(split, Annotated):
            return self.preparation.widen_pixels(split.pixels(index))
        pixels: IntArray = split.targets[index]  # (of the net's own size, whatever that of the picture)
        return self.preparation.widen_pixels(pixels) if self.preparation.margin else pixels

    def _things(self, index: int) -> Objects:
        if index not in self._objects:
            assert isinstance(self.split, Annotated)
            height, width = self.split.size(index)
            self._objects[index] = self.preparation.widen_objects(self.split.instances(index), height, width)
        return self._objects[index]


class _Kept:
    """Arrays by number, each made when it is first asked for, and kept if ``fits``."""

    def __init__(self, dtype: Any, make: Callable[[int], Any], count: int, fits: bool) -> None:
        self._dtype, self._make, self._fits = dtype, make, fits
        self._values: np.ndarray[Any, Any] | None = None
        self._known = np.zeros(count, dtype=bool)
        self._lock = threading.Lock()

    def get(self, indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not self._fits:
            return np.stack([self._make(int(index)) for index in indices])
        with self._lock:
            if self._values is None:
                first = self._make(int(indices[0]))
                self._values = np.empty((len(self._known), *first.shape), dtype=self._dtype)
        for index in np.unique(indices[~self._known[indices]]):
            self._values[index] = self._make(int(index))
            self._known[index] = True
        return cast("np.ndarray[Any, Any]", self._values[indices])
