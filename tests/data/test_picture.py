from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netdsl.data.picture import read_picture, write_picture
from netdsl.diagnostics import UserError


def saved(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_grey_and_colour_survive_a_round_trip(tmp_path: Path) -> None:
    for channels in (1, 3):
        image = np.random.default_rng(0).integers(0, 256, (channels, 5, 4)).astype(np.float32) / 255
        write_picture(tmp_path / "x.png", image)
        np.testing.assert_allclose(read_picture(tmp_path / "x.png"), image, atol=1e-6)


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "deep.png", np.array([[0, 32768, 65535]], dtype=np.uint16))
    np.testing.assert_allclose(read_picture(path), [[[0, 32768 / 65535, 1]]], atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "RGB"])
def test_every_common_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode).save(path)
    image = read_picture(path)
    assert image.shape == (1 if mode in ("1", "L", "LA") else 3, 2, 3)
    np.testing.assert_allclose(image, 1, atol=0.01)


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", np.zeros((2, 2, 4), dtype=np.uint8))
    np.testing.assert_array_equal(read_picture(path), np.ones((3, 2, 2)))


def test_the_cameras_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    saved(tmp_path / "x.png", np.array([[0, 255]], dtype=np.uint8), exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png"), [[[0], [1]]])


def chunk(kind: bytes, content: bytes) -> bytes:
    length = len(content).to_bytes(4, "big")
    return length + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def test_a_picture_with_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    side = (60_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 0, 0, 0, 0]))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb)
    with pytest.raises(UserError, match=r"bomb\.png"):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.png"):
        read_picture(path)


def test_a_cut_picture_and_a_missing_one(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)
    for name in ("x.jpg", "x.png"):
        path = saved(tmp_path / name, noise)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(UserError, match="cannot be read as a picture"):
            read_picture(path)
    with pytest.raises(UserError, match="there is no picture"):
        read_picture(tmp_path / "none.png")
