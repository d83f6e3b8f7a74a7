"""`--data cifar10:DIR` and `cifar100:DIR`: the files of CIFAR in the binary or the Python form.

Format: Krizhevsky, "Learning multiple layers of features from tiny images", 2009, and
https://www.cs.toronto.edu/~kriz/cifar.html. A sample is one label byte (two in CIFAR-100: coarse, fine) and
3 x 32 x 32 bytes, red, green, blue. The files are untrusted; the Python form, which is a pickle, is read by
:mod:`netdsl.data.plain_pickle`, that runs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.data.base import ArraySplit, Data, IntArray
from netdsl.data.plain_pickle import PickleRefused, plain_pickle
from netdsl.diagnostics import Code, ResourceLimit, UserError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
MAX_FILE_BYTES = 1 << 30
MAX_NAME = 100


@dataclass(frozen=True)
class _Kind:
    """Names of the files in both forms, of the labels, and how many label bytes a binary sample begins with."""

    name: str
    classes: int
    label_bytes: int
    label_key: bytes
    folder: str
    train: tuple[str, ...]
    test: str
    names_file: str
    meta: tuple[str, bytes]

    def binary(self) -> tuple[tuple[str, ...], str]:
        return tuple(f"{name}.bin" for name in self.train), f"{self.test}.bin"


_TEN = _Kind(
    "cifar10", 10, 1, b"labels", "cifar-10", tuple(f"data_batch_{n}" for n in range(1, 6)), "test_batch",
    "batches.meta.txt", ("batches.meta", b"label_names"),
)  # fmt: skip
_HUNDRED = _Kind(
    "cifar100", 100, 2, b"fine_labels", "cifar-100", ("train",), "test",
    "fine_label_names.txt", ("meta", b"fine_label_names"),
)  # fmt: skip


def cifar10(folder: Path) -> Data:
    """Raises UserError naming the file at fault."""
    return _read(folder, _TEN)


def cifar100(folder: Path) -> Data:
    """With the 100 fine classes. Raises UserError naming the file at fault."""
    return _read(folder, _HUNDRED)


def _read(folder: Path, kind: _Kind) -> Data:
    if not folder.is_dir():
        raise UserError.of(Code.DATA_NOT_FOUND, f"`{folder}` is not a folder")
    place = _inner(folder, kind)
    binary_train, binary_test = kind.binary()
    binary = (place / binary_test).is_file()
    names, test = (binary_train, binary_test) if binary else (kind.train, kind.test)
    for name in (*names, test):
        if not (place / name).is_file():
            raise _not_found(place, name, kind)
    read = read_binary if binary else read_python
    parts = [read(place / name, kind.classes, _form(kind, binary)) for name in names]
    pixels, labels = np.concatenate([p for p, _ in parts]), np.concatenate([label for _, label in parts])
    return Data(
        name=f"{kind.name}:{folder}",
        classes=_class_names(place, kind, binary),
        train=ArraySplit(pixels, labels),
        test=ArraySplit(*read(place / test, kind.classes, _form(kind, binary))),
        native=(SIDE, SIDE),
    )


def _form(kind: _Kind, binary: bool) -> Any:
    return kind.label_bytes if binary else kind.label_key


def _inner(folder: Path, kind: _Kind) -> Path:
    """The folder itself, or the one that the published archive unpacks to."""
    for name in (f"{kind.folder}-batches-bin", f"{kind.folder}-batches-py", f"{kind.folder}-binary"):
        if (folder / name).is_dir():
            return folder / name
    python = folder / f"{kind.folder}-python"
    return python if python.is_dir() else folder


def _not_found(place: Path, name: str, kind: _Kind) -> UserError:
    return UserError.of(
        Code.DATA_NOT_FOUND,
        f"`{place}` has no `{name}`",
        help=f"{kind.name} data are {', '.join(f'`{file}`' for file in (*kind.train, kind.test))}, as the archive "
        "unpacks to them, all with `.bin` or all without",
    )


def read_binary(path: Path, classes: int, label_bytes: int) -> tuple[NDArray[np.uint8], IntArray]:
    """Pixels [N, 3, 32, 32] and labels [N], of which the last label byte counts. Raises UserError."""
    content = _content(path)
    size = label_bytes + PIXELS
    if not content or len(content) % size:
        raise _unreadable(path, f"has {len(content)} bytes, which is no multiple of {size}, the bytes of a sample")
    table = np.frombuffer(content, dtype=np.uint8).reshape(-1, size)
    labels = _checked(path, table[:, label_bytes - 1].tolist(), classes)
    return np.ascontiguousarray(table[:, label_bytes:]).reshape(-1, 3, SIDE, SIDE), labels


def read_python(path: Path, classes: int, label_key: bytes) -> tuple[NDArray[np.uint8], IntArray]:
    """Pixels [N, 3, 32, 32] and labels [N]. Raises UserError."""
    batch = _unpickled(path)
    pixels, labels = batch.get(b"data"), batch.get(label_key)
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != PIXELS or not len(pixels):
        raise _unreadable(path, f"has no array of bytes [N, {PIXELS}] under `data`")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        raise _unreadable(path, f"has no list of {len(pixels)} labels under `{label_key.decode()}`")
    return np.ascontiguousarray(pixels).reshape(-1, 3, SIDE, SIDE), _checked(path, labels, classes)


def _unpickled(path: Path) -> dict[bytes, Any]:
    """A dictionary whose keys are bytes, whichever version of Python wrote it."""
    try:
        value = plain_pickle(_content(path))
    except PickleRefused as refusal:
        raise _unreadable(path, str(refusal)) from refusal
    if not isinstance(value, dict):
        raise _unreadable(path, "holds no dictionary")
    return {key.encode() if isinstance(key, str) else key: item for key, item in value.items()}


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ResourceLimit.of(Code.LIMIT_SIZE, f"`{path}` has {size} bytes; at most {MAX_FILE_BYTES} are read")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, f"could not be read: {error}") from error


def _checked(path: Path, labels: Sequence[Any], classes: int) -> IntArray:
    for place, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < classes:
            raise UserError.of(
                Code.DATA_LABELS,
                f"`{path}`: the label of sample {place} is not a whole number from 0 to {classes - 1}",
            )
    return np.array(labels, dtype=np.int64)


def _class_names(place: Path, kind: _Kind, binary: bool) -> tuple[str, ...]:
    """As the files say; numbers if they don't."""
    file, key = kind.meta
    names: Sequence[Any] = ()
    if binary and (place / kind.names_file).is_file():
        names = _content(place / kind.names_file).decode("utf-8", errors="replace").split()
    elif not binary and (place / file).is_file():
        found = _unpickled(place / file).get(key, ())
        names = [item.decode("utf-8", errors="replace") if isinstance(item, bytes) else item for item in found]
    if len(names) != kind.classes or not all(isinstance(name, str) and 0 < len(name) <= MAX_NAME for name in names):
        return tuple(str(number) for number in range(kind.classes))
    return tuple(names)


def _unreadable(path: Path, what: str) -> UserError:
    return UserError.of(Code.DATA_UNREADABLE, f"`{path}` {what}")
