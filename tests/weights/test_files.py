from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netdsl.diagnostics import Code, UserError
from netdsl.weights import files, match_weights, read_tensors, write_atomically, write_tensors
from netdsl.weights.atomic import remove_leftovers


def test_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    tensors = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.float64(2.5).reshape(()),
        "n": np.array([3], dtype=np.int64),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }
    for name in ("x", "y"):
        write_tensors(tmp_path / name, tensors, {"k": "v"})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    read = read_tensors(tmp_path / "x")
    assert read.metadata == {"k": "v"} and sorted(read.tensors) == sorted(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)
        assert read.tensors[name].dtype == tensor.dtype


def whole(path: Path) -> bytes:
    write_tensors(path, {"a": np.ones(3, dtype=np.float32)}, {})
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:5],
        lambda content: content[:-1],
        lambda content: content + b"junk",
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content.replace(b'"F32"', b'"F64"'),
        lambda content: content.replace(b"[0,12]", b"[0,92]"),
        lambda content: b"\x80\x04pickle",
    ],
)
def test_damaged_files(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(damage(whole(path)))  # type: ignore[operator]
    with pytest.raises(UserError, match=r"w\.safetensors` is not a whole") as caught:
        read_tensors(path)
    assert caught.value.diagnostics[0].code is Code.WEIGHTS_UNREADABLE


def test_missing_files_foreign_types_and_values_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights file"):
        read_tensors(tmp_path / "none")
    path = tmp_path / "w"
    path.write_bytes(whole(path).replace(b'"F32"', b'"U32"'))
    with pytest.raises(UserError, match=r"tensor `a` of .* has type U32"):
        read_tensors(path)
    write_tensors(path, {"bad": np.array([1, np.inf], dtype=np.float32)}, {})
    with pytest.raises(UserError, match=r"tensor `bad` of .* not finite"):
        read_tensors(path)


@pytest.mark.parametrize("other", [np.float32, np.float16, np.int32])
def test_every_number_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: type) -> None:
    """In parts of five; numbers whose squares overflow are finite."""
    monkeypatch.setattr(files, "_AT_ONCE", 5)
    path = tmp_path / "w"
    sound = {"a": np.full(7, 1e30, np.float32), "b": np.ones((2, 3), other), "c": np.full(4, -2, np.float32)}
    write_tensors(path, sound, {})
    assert {name: array.tolist() for name, array in read_tensors(path).tensors.items()} == {
        name: array.tolist() for name, array in sound.items()
    }
    for name in ("a", "b", "c"):
        for wrong in (np.nan, np.inf, -np.inf):
            damaged = {key: array.copy() for key, array in sound.items()}
            if damaged[name].dtype.kind == "f":
                damaged[name].reshape(-1)[-1] = wrong
                write_tensors(path, damaged, {})
                with pytest.raises(UserError, match=f"tensor `{name}` of .* not finite"):
                    read_tensors(path)


EXPECTED = {"conv.weight": (2, 3), "conv.bias": (2,)}


def fitting() -> dict[str, np.ndarray]:
    return {"conv.bias": np.zeros(2), "conv.weight": np.ones((2, 3), dtype=np.float16)}


def test_matching_orders_converts_and_ignores_batch_counters() -> None:
    tensors = {**fitting(), "bn.num_batches_tracked": np.array(7)}
    matched = match_weights(tensors, EXPECTED, Path("w"))
    assert list(matched) == list(EXPECTED)
    assert all(tensor.dtype == np.float32 for tensor in matched.values())


def test_layers_of_the_loss_are_left_aside_where_only_the_network_is_wanted() -> None:
    tensors = {**fitting(), "loss.aux1.fc1.weight": np.ones((2, 2))}
    assert list(match_weights(tensors, EXPECTED, Path("w"))) == list(EXPECTED)
    whole = {**EXPECTED, "loss.aux1.fc1.weight": (2, 2)}
    assert list(match_weights(tensors, whole, Path("w"))) == list(whole)


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    tensors = {"conv.weight": np.ones((3, 2)), "other": np.ones(1)}
    with pytest.raises(UserError) as caught:
        match_weights(tensors, EXPECTED, Path("w"))
    assert caught.value.diagnostics[0].notes == (
        "`conv.weight` is [3, 2], the network needs [2, 3]",
        "`conv.bias` is missing",
        "`other` is not in the network",
    )


def test_a_slip_in_a_name_and_integers() -> None:
    slip = fitting()
    slip["conv.bais"] = slip.pop("conv.bias")
    with pytest.raises(UserError) as caught:
        match_weights(slip, EXPECTED, Path("w"))
    assert caught.value.diagnostics[0].help == "rename `conv.bais` to `conv.bias`"
    with pytest.raises(UserError, match="do not fit") as caught:
        match_weights({**fitting(), "conv.bias": np.array([1, 2])}, EXPECTED, Path("w"))
    assert "holds int64" in caught.value.diagnostics[0].notes[0]


def test_long_lists_are_shortened() -> None:
    expected = {f"layer{number}.weight": (1,) for number in range(100)}
    with pytest.raises(UserError) as caught:
        match_weights({"x": np.ones(1)}, expected, Path("w"))
    notes = caught.value.diagnostics[0].notes
    assert len(notes) == 10 and "92 more are missing" in notes
    assert caught.value.diagnostics[0].help == "no name fits; these are the weights of another network"


def test_atomic_writes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400
    with pytest.raises(UserError, match="cannot be written") as caught:
        write_atomically(tmp_path / "none" / "file", b"x")
    assert caught.value.diagnostics[0].code is Code.FILE_NOT_WRITABLE
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_atomically(tmp_path / "folder", b"x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


WRITE_TOO_MUCH = """
import resource, sys
from pathlib import Path
from netdsl.diagnostics import UserError
from netdsl.weights import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 5000)
except UserError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    done = subprocess.run([sys.executable, "-c", WRITE_TOO_MUCH, str(path)], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert path.read_bytes() == b"one" and os.listdir(tmp_path) == ["file"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".last.safetensors.abc.part").write_bytes(b"half")
    (tmp_path / "mine.part").write_bytes(b"")
    remove_leftovers(tmp_path, "last.safetensors")
    assert os.listdir(tmp_path) == ["mine.part"]
