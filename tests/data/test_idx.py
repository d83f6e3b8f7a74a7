from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from netdsl.data import open_data
from netdsl.data.idx import read_images, read_labels
from netdsl.diagnostics import Code, ResourceLimit, UserError

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


def image_bytes(count: int, rows: int = 3, columns: int = 2, magic: int = 0x803) -> bytes:
    pixels = (np.arange(count * rows * columns) % 256).astype(np.uint8)
    return struct.pack(">4I", magic, count, rows, columns) + pixels.tobytes()


def label_bytes(labels: list[int]) -> bytes:
    return struct.pack(">2I", 0x801, len(labels)) + bytes(labels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / NAMES["train-images"]).write_bytes(image_bytes(4))
    (tmp_path / NAMES["train-labels"]).write_bytes(label_bytes([0, 1, 2, 6]))
    (tmp_path / (NAMES["t10k-images"] + ".gz")).write_bytes(gzip.compress(image_bytes(2)))
    (tmp_path / (NAMES["t10k-labels"] + ".gz")).write_bytes(gzip.compress(label_bytes([1, 0])))
    return tmp_path


def refusal(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        (read_labels if "labels" in path.name else read_images)(path)
    assert str(path) in caught.value.diagnostics[0].title
    return caught.value


def test_plain_and_gzipped_files(folder: Path) -> None:
    data = open_data(f"idx:{folder}")
    assert (len(data.train), len(data.test)) == (4, 2)
    assert data.classes == tuple("0123456")
    np.testing.assert_array_equal(data.train.targets, [0, 1, 2, 6])
    expected = np.arange(6, 12, dtype=np.float32).reshape(1, 3, 2) / 255
    np.testing.assert_array_equal(data.test.image(1), expected)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / NAMES["train-labels"]).unlink()
    with pytest.raises(UserError, match="train-labels-idx1-ubyte") as caught:
        open_data(f"idx:{folder}")
    assert caught.value.diagnostics[0].code is Code.DATA_NOT_FOUND


def test_more_pictures_than_labels(folder: Path) -> None:
    (folder / NAMES["train-labels"]).write_bytes(label_bytes([0, 1]))
    with pytest.raises(UserError, match=r"4 pictures.*2 labels"):
        open_data(f"idx:{folder}")


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "ends inside its header, after 0 bytes"),
        (image_bytes(4)[:9], "ends inside its header"),
        (image_bytes(4)[:-1], "promises 24 bytes, it holds 23"),
        (image_bytes(4) + b"\0", "holds more than the 24 bytes"),
        (image_bytes(4, magic=0x801), "0x00000801 where 0x00000803"),
        (struct.pack(">4I", 0x803, 20_000_000, 10, 10) + b"\0" * 50, "it holds 50"),
        (struct.pack(">4I", 0x803, 0, 10, 10), "holds no samples"),
        (struct.pack(">4I", 0x803, 3, 0, 10), "holds no samples"),
    ],
)
def test_damaged_files(tmp_path: Path, end: str, content: bytes, what: str) -> None:
    path = tmp_path / f"images{end}"
    path.write_bytes(gzip.compress(content) if end else content)
    assert what in str(refusal(path))


def test_sizes_beyond_the_limits(tmp_path: Path) -> None:
    path = tmp_path / "images"
    for sizes in ((1, 100_000, 1), (0xFFFFFFFF, 1, 1), (19_000_000, 4096, 4096)):
        path.write_bytes(struct.pack(">4I", 0x803, *sizes))
        assert isinstance(refusal(path), ResourceLimit)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(label_bytes([1, 2]) + bytes(200_000_000), compresslevel=1))
    assert "holds more than the 2 bytes" in str(refusal(path))


def test_a_damaged_gzip_stream(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    whole = gzip.compress(image_bytes(400))
    path.write_bytes(whole[:-20])
    assert "could not be read" in str(refusal(path))
    path.write_bytes(whole[:30] + b"\xff\xff\xff" + whole[33:])
    refusal(path)
    path.write_bytes(b"no gzip at all")
    assert "could not be read" in str(refusal(path))


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        open_data(f"idx:{tmp_path / 'none'}")
