"""`--data idx:DIR`: the four files of the MNIST format, gzipped or not.

The files are untrusted. Every header field is checked before anything of that size is allocated, a file
must hold exactly the bytes its header promises, and a compressed file is never unpacked further than that.
Format: http://yann.lecun.com/exdb/mnist (big-endian; magic 0x00000803 for pictures, 0x00000801 for labels).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import ArraySplit, Data, IntArray
from netdsl.diagnostics import Code, ResourceLimit, UserError

MAX_SIDE = 4096
MAX_SAMPLES = 20_000_000
MAX_BYTES = 4 << 30

_IMAGE_MAGIC, _LABEL_MAGIC = 0x00000803, 0x00000801
_CHUNK = 1 << 22


def idx(folder: Path) -> Data:
    """Read the training and test files below ``folder``. Raises UserError naming the file at fault."""
    if not folder.is_dir():
        raise UserError.of(Code.DATA_NOT_FOUND, f"`{folder}` is not a folder")
    train = _read_split(folder, "train")
    test = _read_split(folder, "t10k")
    count = int(max(train.targets.max(), test.targets.max())) + 1
    return Data(
        name=f"idx:{folder}",
        classes=tuple(str(number) for number in range(count)),
        train=train,
        test=test,
        native=(train.pixels.shape[2], train.pixels.shape[3]),
    )


def _read_split(folder: Path, prefix: str) -> ArraySplit:
    image_path = _find(folder, f"{prefix}-images", 3)
    label_path = _find(folder, f"{prefix}-labels", 1)
    pixels = read_images(image_path)
    labels = read_labels(label_path)
    if len(pixels) != len(labels):
        raise UserError.of(
            Code.DATA_LABELS,
            f"`{image_path}` has {len(pixels)} pictures, `{label_path}` has {len(labels)} labels",
        )
    return ArraySplit(pixels, labels)


def _find(folder: Path, stem: str, axes: int) -> Path:
    """The file under either of its two customary names, plain before gzipped."""
    names = [f"{stem}{joint}idx{axes}-ubyte{end}" for end in ("", ".gz") for joint in ("-", ".")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError.of(
        Code.DATA_NOT_FOUND,
        f"`{folder}` has no `{names[0]}`, gzipped or not",
        help="idx data are four files: train-images-idx3-ubyte, train-labels-idx1-ubyte, "
        "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each with or without .gz",
    )


def read_images(path: Path) -> NDArray[np.uint8]:
    """[N, 1, H, W] of uint8."""
    count, rows, columns, payload = _read(path, _IMAGE_MAGIC, 3)
    return payload.reshape(count, 1, rows, columns)


def read_labels(path: Path) -> IntArray:
    """[N] class numbers."""
    return _read(path, _LABEL_MAGIC, 1)[-1].astype(np.int64)


def _read(path: Path, magic: int, axes: int) -> tuple[int, int, int, NDArray[np.uint8]]:
    try:
        with _open(path) as stream:
            sizes = _read_header(path, stream, magic, axes)
            expected = sizes[0] * sizes[1] * sizes[2]
            payload = _read_payload(path, stream, expected)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, f"could not be read: {error}") from error
    return (*sizes, payload)


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile reads like any binary file
    return path.open("rb")


def _read_header(path: Path, stream: BinaryIO, magic: int, axes: int) -> tuple[int, int, int]:
    header = stream.read(4 + 4 * axes)
    if len(header) < 4 + 4 * axes:
        raise _unreadable(path, f"ends inside its header, after {len(header)} bytes")
    found, *sizes = struct.unpack(f">{1 + axes}I", header)
    if found != magic:
        raise _unreadable(
            path,
            f"starts with 0x{found:08x} where 0x{magic:08x} was expected",
            f"0x{magic:08x} marks {'pictures' if axes == 3 else 'labels'} of one byte each",
        )
    count, rows, columns = (*sizes, 1, 1)[:3]
    if 0 in (count, rows, columns):
        raise UserError.of(Code.DATA_EMPTY, f"`{path}` holds no samples ({count} of {rows}x{columns})")
    if count > MAX_SAMPLES or max(rows, columns) > MAX_SIDE or count * rows * columns > MAX_BYTES:
        raise ResourceLimit.of(
            Code.LIMIT_SIZE,
            f"`{path}` claims {count} samples of {rows}x{columns}",
            notes=(f"the limits are {MAX_SAMPLES} samples, {MAX_SIDE}x{MAX_SIDE} pixels, {MAX_BYTES >> 30} GiB",),
        )
    return count, rows, columns


def _read_payload(path: Path, stream: BinaryIO, expected: int) -> NDArray[np.uint8]:
    """Read in pieces, so that a lying header costs no more memory than the file has bytes."""
    pieces, length = [], 0
    while length <= expected and (piece := stream.read(min(_CHUNK, expected + 1 - length))):
        pieces.append(piece)
        length += len(piece)
    if length < expected:
        raise _unreadable(path, f"ends early: its header promises {expected} bytes, it holds {length}")
    if length > expected:
        raise _unreadable(path, f"holds more than the {expected} bytes its header promises")
    return np.frombuffer(b"".join(pieces), dtype=np.uint8)


def _unreadable(path: Path, what: str, *notes: str) -> UserError:
    return UserError.of(Code.DATA_UNREADABLE, f"`{path}` {what}", notes=notes)
