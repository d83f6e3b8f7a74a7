"""Files, values and options of every wrong kind, for every verb: the code as documented, a message, nothing written."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from netdsl.cli.main import run

LENET = "zoo:lenet5"
TRAIN = ["train", LENET, "--out", "new", "--data"]
PREDICT = ["predict", LENET, "--weights"]
NET = "net N { input x: [1, 8, 8]\noutput y = x -> flatten -> fc(10) }"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(bytes(1000)))
    + _chunk(b"IEND", b"")
)
"""A small file that claims to be a picture of ten thousand million pixels."""

FILES = {
    "sound.net": NET.encode(),
    "binary.net": np.random.default_rng(0).bytes(5000),
    "empty.net": b"",
    "comment.net": b"# nothing but words\n",
    "zero.net": NET.encode().replace(b"net N", b"net \0N"),
    "large.net": b"#" * (2 << 20),
    "deep.net": f"net N {{ input x: [1]\noutput y = {'(' * 5000}x{')' * 5000} }}".encode(),
    "tensor.net": b"net N { input x: [99999, 99999, 99999]\noutput y = x -> relu }",
    "weights.net": b"net N { input x: [1, 256, 256]\noutput y = x -> flatten -> fc(1000000) }",
    "cut.png": BOMB[:40],
    "bomb.png": BOMB,
    "text.png": b"no picture",
    "empty.png": b"",
    "junk.safetensors": np.random.default_rng(1).bytes(4000),
    "empty.safetensors": b"",
    "claims.safetensors": struct.pack("<Q", 2**62) + b"{}",
    "pickle.pt": b"\x80\x04cposix\nsystem\n.",
    "unreadable/cat/text.png": b"no picture",
    "idx/train-images-idx3-ubyte": b"\0\0\x08\x03" + b"\0\0\0\x09" * 3 + b"few",
    "idx/train-labels-idx1-ubyte": b"\0\0\x08\x01" + b"\0\0\0\x09" + bytes(9),
    "idx/t10k-images-idx3-ubyte": b"",
    "idx/t10k-labels-idx1-ubyte": b"",
    "label/train-images-idx3-ubyte": b"\0\0\x08\x03" + b"\0\0\0\x01" * 3 + b"\0",
    "label/train-labels-idx1-ubyte": b"\0\0\x08\x01" + b"\0\0\0\x01" + b"\xc8",
    "label/t10k-images-idx3-ubyte": b"\0\0\x08\x03" + b"\0\0\0\x01" * 3 + b"\0",
    "label/t10k-labels-idx1-ubyte": b"\0\0\x08\x01" + b"\0\0\0\x01" + b"\0",
    "claims/train-images-idx3-ubyte": b"\0\0\x08\x03" + b"\xff" * 12,
    "claims/train-labels-idx1-ubyte": b"\0\0\x08\x01" + b"\xff" * 4,
    "claims/t10k-images-idx3-ubyte": b"",
    "claims/t10k-labels-idx1-ubyte": b"",
    "file": b"",
}

CASES = [
    # .net files, for all that read them; limits end with 4.
    *[
        ([verb, name, *rest], code, message)
        for verb, rest in (("check", []), ("report", []), ("compile", []), ("train", ["--data", "digits"]))
        for name, code, message in (
            ("none.net", 1, "N0001"),
            ("file/none.net", 1, "N0001"),
            ("folder", 1, "N0002"),
            ("pipe", 1, "N0002"),
            ("binary.net", 1, "N0002"),
            ("empty.net", 1, "N0004"),
            ("comment.net", 1, "N0004"),
            ("zero.net", 1, "zero.net:1:5"),
            ("large.net", 4, "N0501"),
            ("deep.net", 4, "deep.net:2:"),
            ("tensor.net", 4, "tensor.net:1:18"),
            ("zoo:nope", 1, "N0005"),
            ("zoo:../resnet50", 1, "N0005"),
        )
    ],
    # Values from outside.
    (["report", "sound.net#M"], 1, "N0004"),
    (["report", LENET, "--net", "Other"], 1, "N0004"),
    (["report", "weights.net", "--batch", "65536"], 4, "weights.net:2:"),
    (["report", LENET, "--set", "classes=0"], 1, "lenet5.net:"),
    (["report", LENET, "--set", "classes=1e99"], 1, "--set classes:1:"),
    (["report", LENET, "--set", "classes=99999999999"], 4, "--set classes:1:"),
    (["report", LENET, "--set", "classes=[1]"], 1, "--set classes:1:"),
    (["report", LENET, "--set", "classes=$(id)"], 1, "--set classes:1:"),
    (["report", LENET, "--set", "clases=3"], 1, "classes"),
    (["report", LENET, "--set", "classes="], 2, "--set"),
    (["report", LENET, "--size", "-1x3"], 2, "--size"),
    (["report", LENET, "--batch", "9" * 30], 2, "--batch"),
    (["report", LENET, "--threads", "0"], 2, "--threads"),
    ([*PREDICT, "run", "grey.png", "--threads", "257"], 2, "--threads"),
    (["report", LENET, "--target", "tpu"], 1, "N0803"),
    (["report", LENET, "--target", "cpu:mmx"], 1, "N0803"),
    (["compile", LENET, "--passes", "nope"], 1, "N0007"),
    (["compile", LENET, "--emit", "obj"], 1, "N0007"),
    (["compile", LENET, "-o", "folder"], 1, "N0006"),
    (["compile", LENET, "-o", "none/x"], 1, "N0006"),
    (["compile", "sound.net", "--training"], 1, "N0701"),
    (["zoo", "show", "nope"], 1, "N0005"),
    (["zoo", "lost"], 2, "list"),
    (["demo", "--out", "file"], 1, "N0006"),
    # Weights.
    *[
        ([*PREDICT, name, "grey.png"], 1, code)
        for name, code in (
            ("none", "N0001"),
            ("folder", "N0001"),
            ("pipe", "N0001"),
            ("cut.safetensors", "N0703"),
            ("junk.safetensors", "N0703"),
            ("empty.safetensors", "N0703"),
            ("claims.safetensors", "N0703"),
            ("pickle.pt", "N0703"),
            ("sound.net", "N0703"),
        )
    ],
    ([*PREDICT, "run", "grey.png", "--set", "classes=11"], 1, "N0704"),
    (["predict", "zoo:resnet18", "--weights", "run", "grey.png"], 1, "N0704"),
    (["eval", "sound.net", "--weights", "run", "--data", "digits"], 1, "N0704"),
    (["eval", LENET, "--weights", "cut.safetensors", "--data", "digits"], 1, "N0703"),
    ([*TRAIN, "digits", "--weights", "cut.safetensors"], 1, "N0703"),
    ([*TRAIN, "digits", "--resume"], 1, "N0705"),
    # Pictures.
    *[
        ([*PREDICT, "run", name], 1, code)
        for name, code in (
            ("none.png", "N0601"),
            ("folder", "N0601"),
            ("pipe", "N0601"),
            ("cut.png", "N0602"),
            ("bomb.png", "N0602"),
            ("text.png", "N0602"),
            ("empty.png", "N0602"),
            ("binary.net", "N0602"),
        )
    ],
    ([*PREDICT, "run"], 2, "IMAGE"),
    ([*PREDICT, "run", "grey.png", "--top", "0"], 2, "--top"),
    # Data sets, for both verbs that read them.
    *[
        ([*verb, data], code, message)
        for verb in (TRAIN, ["eval", LENET, "--weights", "run", "--data"])
        for data, code, message in (
            ("digist", 1, "did you mean `digits`?"),
            ("", 1, "N0601"),
            ("idx:", 1, "N0601"),
            ("idx:none", 1, "N0601"),
            ("idx:folder", 1, "train-images-idx3-ubyte"),
            ("idx:idx", 1, "idx/train-images-idx3-ubyte"),
            ("idx:claims", 4, "claims/train-images-idx3-ubyte"),
            ("folder:none", 1, "N0601"),
            ("folder:file", 1, "N0601"),
            ("folder:folder", 1, "N0605"),
            ("folder:unreadable", 1, "1 of 1 files"),
        )
    ],
    ([*TRAIN, "idx:label"], 1, "N0604"),
    ([*TRAIN, "digits", "--epochs", "0"], 2, "--epochs"),
    ([*TRAIN, "digits", "--seed", "-1"], 2, "--seed"),
]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, trained: Path, picture: Path) -> Path:
    """A folder with everything wrong in it, and a run directory and a picture that are sound."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "cut.safetensors").write_bytes((trained / "last.safetensors").read_bytes()[:-100])
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "run").symlink_to(trained)
    (folder / "grey.png").symlink_to(picture)
    return folder


def everything(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    ("arguments", "code", "message"), CASES, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_wrong_input(
    arguments: list[str],
    code: int,
    message: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    before = everything(place)
    ended = run(arguments)
    out, err = capsys.readouterr()
    assert (ended, message in err) == (code, True), f"exit code {ended}\n{err}"
    assert ("error[" in err) == (code != 2)
    assert "Traceback" not in out + err
    assert out == "" or arguments[0] == "check"
    assert everything(place) == before
