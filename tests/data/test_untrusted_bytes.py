"""Any bytes at all: a reader gives samples or says what is wrong with the file, and nothing else."""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from netdsl.data.idx import read_images
from netdsl.data.picture import read_picture
from netdsl.diagnostics import UserError
from netdsl.weights import read_tensors

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def encoded(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, format=kind)
    return stream.getvalue()


IDX = struct.pack(">4I", 0x803, 5, 4, 3) + bytes(60)
SEEDS = {
    "x.png": encoded("PNG"),
    "x.jpg": encoded("JPEG"),
    "x.bmp": encoded("BMP"),
    "x.gif": encoded("GIF"),
    "x.tif": encoded("TIFF"),
    "x.webp": encoded("WEBP"),
    "images": IDX,
    "images.gz": gzip.compress(IDX),
    "x.safetensors": save({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)}, {"k": "v"}),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """One of the files with some bytes replaced, cut off or added."""
    name = draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[name])
    for _ in range(draw(st.integers(0, 6))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return name, bytes(content) + draw(st.binary(max_size=4))


@quick
@given(damaged())
def test_damaged_files_are_read_or_refused(file: tuple[str, bytes]) -> None:
    name, content = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            if name.endswith(".safetensors"):
                read_tensors(path)
            elif name.startswith("images"):
                assert read_images(path).shape[1] == 1
            else:
                image = read_picture(path)
                assert image.dtype == np.float32 and image.min() >= 0 and image.max() <= 1
        except UserError as error:
            assert all(str(path) in item.title for item in error.diagnostics)
