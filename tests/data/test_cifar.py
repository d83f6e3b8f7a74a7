"""CIFAR in both forms, and pickles that are programs."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.data import Data, open_data
from netdsl.data.plain_pickle import PickleRefused, plain_pickle
from netdsl.diagnostics import Code, UserError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def samples(number: int, count: int = 4) -> tuple[np.ndarray, list[int]]:
    random = np.random.default_rng(number)
    return random.integers(0, 256, (count, 3072), dtype=np.uint8), random.integers(0, 10, count).tolist()


def write_ten(folder: Path, form: str) -> None:
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        pixels, labels = samples(number)
        if form == "bin":
            table = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1)
            (folder / f"{name}.bin").write_bytes(table.tobytes())
        else:
            content = {b"batch_label": b"batch", b"labels": labels, b"data": pixels, b"filenames": [b"a.png"] * 4}
            (folder / name).write_bytes(pickle.dumps(content, protocol=int(form)))
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    meta = {b"num_cases_per_batch": 4, b"label_names": [name.encode() for name in NAMES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def check_ten(data: Data) -> None:
    assert data.classes == tuple(NAMES) and (len(data.train), len(data.test)) == (20, 4)
    pixels, labels = samples(2)
    np.testing.assert_array_equal(data.train.targets[8:12], labels)
    np.testing.assert_array_equal(data.train.image(9), pixels[1].reshape(3, 32, 32).astype(np.float32) / 255)


@pytest.mark.parametrize("form", ["bin", "0", "1", "2", "3"])
def test_ten_classes(tmp_path: Path, form: str) -> None:
    write_ten(tmp_path, form)
    check_ten(open_data(f"cifar10:{tmp_path}"))


def test_the_folder_that_the_archive_unpacks_to(tmp_path: Path) -> None:
    inner = tmp_path / "cifar-10-batches-bin"
    inner.mkdir()
    write_ten(inner, "bin")
    check_ten(open_data(f"cifar10:{tmp_path}"))


def python_2_pickle(pixels: np.ndarray, labels: list[int]) -> bytes:
    """As Python 2 with NumPy 1 wrote the published files: protocol 2, texts as bytes."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85U\x01bq\x06\x87Rq\x07"
    state = b"(K\x01M" + struct.pack("<H", len(pixels)) + b"M\x00\x0c\x86"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    raw = pixels.tobytes()
    body = state + dtype + b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    numbers = b"]q\x08(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}q\x01(" + text(b"data") + array + body + text(b"labels") + numbers + b"u."


def test_what_python_2_wrote(tmp_path: Path) -> None:
    write_ten(tmp_path, "2")
    pixels, labels = samples(2)
    (tmp_path / "data_batch_3").write_bytes(python_2_pickle(pixels, labels))
    assert pickle.loads(python_2_pickle(pixels, labels), encoding="bytes")[b"labels"] == labels
    check_ten(open_data(f"cifar10:{tmp_path}"))


@pytest.mark.parametrize("python", [True, False])
def test_a_hundred_classes(tmp_path: Path, python: bool) -> None:
    for number, name in enumerate(["train", "test"]):
        pixels, labels = samples(number)
        if python:
            content = {"fine_labels": [90 + label for label in labels], "coarse_labels": labels, "data": pixels}
            (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
        else:
            both = np.array([labels, [90 + label for label in labels]], np.uint8).T
            (tmp_path / f"{name}.bin").write_bytes(np.concatenate([both, pixels], axis=1).tobytes())
    data = open_data(f"cifar100:{tmp_path}")
    assert len(data.classes) == 100 and data.classes[7] == "7"
    np.testing.assert_array_equal(data.test.targets, [90 + label for label in samples(1)[1]])


class Evil:
    def __init__(self, call: Any, arguments: tuple[Any, ...]) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made"
    for call, arguments in ((os.mkdir, (str(target),)), (eval, ("1+1",)), (np.load, ("x",)), (np.fromfile, ("x",))):
        with pytest.raises(PickleRefused):
            plain_pickle(pickle.dumps({b"labels": Evil(call, arguments)}, protocol))
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "ends inside"),
        (b"cos\nsystem\n(S'true'\ntR.", "asks for `os.system`"),
        (b"cnumpy.core.multiarray\nscalar\n.", "asks for `numpy.core.multiarray.scalar`"),
        (b"\x80\x04.", "protocol 4"),
        (b"T\xff\xff\xff\x7fabc.", "ends inside"),
        (b"\x8a\xff" + bytes(255) + b".", "a number of more than 64"),
        (b"I" + b"9" * 5000 + b"\n.", "a number of more than 64"),
        (b"]q\x00h\x00a.", "nested deeper"),
        (b"h\x07.", "recalls"),
        (b"e.", "takes values"),
        (b"(.", "takes a value"),
        (b"}K\x01K\x02u.", "takes values"),
        (b"}(]K\x01u.", "key"),
        (b"i.", "0x69"),
        (b"cnumpy\nndarray\n.", "not plain data"),
        (b"X\x01\x00\x00\x00\xff.", "damaged"),
        (b"(" * 100, "ends inside"),
        (b"N" * 1_100_000 + b".", "at once"),
        (b"N0" * 3 + b".", "0x30"),
    ],
)
def test_what_is_refused(content: bytes, what: str) -> None:
    with pytest.raises(PickleRefused, match=what):
        plain_pickle(content)


def test_a_shared_list_is_not_unfolded() -> None:
    nested: list[Any] = []
    for _ in range(18):
        nested = [nested] * 8
    assert len(plain_pickle(pickle.dumps(nested, 2))) == 8


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_pickles_are_read_or_refused(data: st.DataObject) -> None:
    pixels, labels = samples(0, 1)
    content = bytearray(pickle.dumps({b"labels": labels, b"data": pixels[:, :40]}, data.draw(st.integers(0, 3))))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PickleRefused):
        plain_pickle(bytes(content))


def test_the_values_are_those_of_pickle() -> None:
    value = {b"a": [1, -5, 2**40, None, True, "text", (1, (2,), ())], "b": {3: b"bytes" * 100}, 4: [0.5][:0]}
    for protocol in range(4):
        stream = io.BytesIO()
        pickle.dump(value, stream, protocol)
        assert plain_pickle(stream.getvalue()) == {**value, b"a": [1, -5, 2**40, None, True, "text", [1, [2], []]]}


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_ten(tmp_path, "bin")
    for content, code in ((b"", Code.DATA_UNREADABLE), (bytes(3074), Code.DATA_UNREADABLE), (b"\x0a" * 3073, None)):
        (tmp_path / "data_batch_4.bin").write_bytes(content)
        with pytest.raises(UserError, match=r"data_batch_4\.bin") as caught:
            open_data(f"cifar10:{tmp_path}")
        assert caught.value.diagnostics[0].code is (code or Code.DATA_LABELS)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(UserError, match=r"has no `data_batch_4\.bin`"):
        open_data(f"cifar10:{tmp_path}")
    with pytest.raises(UserError, match="is not a folder"):
        open_data(f"cifar100:{tmp_path / 'none'}")


def test_python_files_without_what_is_needed(tmp_path: Path) -> None:
    write_ten(tmp_path, "2")
    pixels, labels = samples(0)
    for content in ([1], {}, {b"data": pixels}, {b"data": pixels, b"labels": labels[:2]}, {b"data": 5, b"labels": []}):
        (tmp_path / "test_batch").write_bytes(pickle.dumps(content, 2))
        with pytest.raises(UserError, match="test_batch"):
            open_data(f"cifar10:{tmp_path}")
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": pixels, b"labels": [1, 2, "3", 4]}, 2))
    with pytest.raises(UserError, match="label of sample 2"):
        open_data(f"cifar10:{tmp_path}")
