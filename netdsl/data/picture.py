"""Reading one picture file. Picture files are untrusted: formats, bytes and pixels are limited."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import Float32Array
from netdsl.diagnostics import Code, UserError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAX_FILE_BYTES = 256 << 20
MAX_PIXELS = 100_000_000

Result = TypeVar("Result")
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap height and width
_DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def read_picture(path: Path) -> Float32Array:
    """Read a picture as [C, H, W] in 0..1, C 1 for grey and 3 for colour.

    The first frame counts; the camera's orientation is applied; transparency is laid over white, as
    viewers do. Raises UserError naming the file when it is missing, damaged, or larger than the limits.
    """
    if not path.is_file():
        raise UserError.of(Code.DATA_NOT_FOUND, f"there is no picture `{path}`")
    return _guarded(path, _decode)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture as `read_picture` gives it, from the head of its file.

    Raises UserError naming the file when it is missing, no picture, or larger than the limits.
    """
    if not path.is_file():
        raise UserError.of(Code.DATA_NOT_FOUND, f"there is no picture `{path}`")
    return _guarded(path, _size)


def _guarded(path: Path, read: Callable[[Path], Result]) -> Result:
    """``read(path)``, with everything that can go wrong as a UserError."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise _Refused(f"has {size} bytes; at most {MAX_FILE_BYTES} are read")
        return read(path)
    except _Refused as refusal:
        raise UserError.of(Code.DATA_UNREADABLE, f"`{path}` {refusal}") from refusal
    except Exception as error:  # decoders of damaged files raise nearly anything
        reason = str(error).replace("\n", " ").replace(repr(str(path)), "it") or type(error).__name__
        raise UserError.of(Code.DATA_UNREADABLE, f"`{path}` cannot be read as a picture: {reason}") from error


class _Refused(Exception):
    """A picture that could be decoded but is not accepted; the text continues the file's name."""


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own size warning; the limit below is ours
        with Image.open(path, formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise _Refused(f"has {width}x{height} pixels; at most {MAX_PIXELS} are read")
            yield opened


def _decode(path: Path) -> Float32Array:
    from PIL import ImageOps

    with _opened(path) as opened:
        opened.load()
        return _to_array(ImageOps.exif_transpose(opened))


def _size(path: Path) -> tuple[int, int]:
    with _opened(path) as opened:
        width, height = opened.size
        turned = opened.getexif().get(_ORIENTATION, 1) in _TURNED
    return (width, height) if turned else (height, width)


def read_indices(path: Path) -> NDArray[np.uint8]:
    """The palette numbers [H, W] of a picture with at most 256 colours, as masks are stored.

    Raises UserError naming the file when it is missing, damaged, too large, or has no such numbers.
    """
    if not path.is_file():
        raise UserError.of(Code.DATA_NOT_FOUND, f"there is no picture `{path}`")
    return _guarded(path, _indices)


def _indices(path: Path) -> NDArray[np.uint8]:
    with _opened(path) as opened:
        opened.load()
        if opened.mode not in ("P", "L"):
            raise _Refused(f"has colours (mode {opened.mode}) where a mask has a number a pixel")
        return np.array(opened, dtype=np.uint8)


def _to_array(picture: Image.Image) -> Float32Array:
    from PIL import Image

    if picture.mode in _DEEP_GREY:
        deep: Float32Array = np.asarray(picture).astype(np.float32)
        return np.ascontiguousarray(np.minimum(deep / np.float32(65535), np.float32(1))[None])
    if picture.mode == "F":
        raise _Refused("stores floating-point pixels, whose white is not known")
    if "A" in picture.mode or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(paper, layer).convert("RGB" if _is_colour(picture) else "L")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB" if _is_colour(picture) else "L")
    pixels: Float32Array = np.asarray(picture, dtype=np.uint8).astype(np.float32)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(planes / np.float32(255))


def _is_colour(picture: Image.Image) -> bool:
    return picture.mode not in ("1", "L", "LA", "La")


def write_picture(path: Path, image: Float32Array) -> None:
    """Write [1, H, W] or [3, H, W] in 0..1 as an 8-bit PNG."""
    path.write_bytes(picture_bytes(image))


def picture_bytes(image: Float32Array) -> bytes:
    """[1, H, W] or [3, H, W] in 0..1 as an 8-bit PNG file."""
    from PIL import Image

    bytes_ = np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    pixels = bytes_[0] if len(bytes_) == 1 else bytes_.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()
