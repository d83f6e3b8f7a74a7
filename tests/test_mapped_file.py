"""Arrays in mapped files: views without a copy, whose memory can be given back at any time."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from netdsl import mapped_file
from netdsl.mapped_file import MappedFile, is_intact, release


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "numbers"
    path.write_bytes(np.arange(50_000, dtype="<f4").tobytes())
    return path


def test_an_array_is_a_read_only_view(path: Path) -> None:
    array = MappedFile.open(path).array("<f4", (10, 20), 4 * 100)
    np.testing.assert_array_equal(array, np.arange(100, 300).reshape(10, 20))
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


@pytest.mark.parametrize(("shape", "start"), [((50_001,), 0), ((2,), 4 * 49_999), ((1,), -4), ((1,), 1 << 40)])
def test_what_does_not_lie_in_the_file_is_refused(shape: tuple[int, ...], start: int, path: Path) -> None:
    with pytest.raises(ValueError, match=r"buffer|offset"):
        MappedFile.open(path).array("<f4", shape, start)


def test_empty_arrays_and_files(path: Path) -> None:
    file = MappedFile.open(path)
    assert file.array("<f4", (0, 3), 200_000).shape == (0, 3)
    release(file.array("<f4", (0, 3), 0))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        MappedFile.open(path)


def test_released_memory_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_file, "KEPT_BYTES", 1)
    array = MappedFile.open(path).array("<f4", (50_000,), 0)
    for view in (array, array[7:], array[7::3], array[::-1], array[30_000:][::-3]):
        expected = view.copy()
        release(view)
        np.testing.assert_array_equal(view, expected)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED") or not Path("/proc/self/smaps").exists(), reason="Linux says it")
def test_what_is_released_takes_no_memory(path: Path) -> None:
    path.write_bytes(bytes(8 << 20))
    file = MappedFile.open(path)
    parts = [file.array("<f4", (1 << 18,), number << 20) for number in range(8)]
    for part in parts:
        assert not part.any() and _resident_bytes(path) >= 1 << 20
        release(part)
        assert _resident_bytes(path) < mapped_file.KEPT_BYTES
    assert not any(part.any() for part in parts) and _resident_bytes(path) == 8 << 20
    for _ in range(mapped_file.KEPT_BYTES // mapped_file.BROUGHT_IN):
        release(parts[0][:1])
    assert _resident_bytes(path) == 0


def _resident_bytes(path: Path) -> int:
    lines = Path("/proc/self/smaps").read_text().splitlines()
    area = next(number for number, line in enumerate(lines) if line.endswith(str(path)))
    size = next(line for line in lines[area:] if line.startswith("Rss:"))
    return 1024 * int(size.split()[1])


def test_writing_into_the_file_is_noticed(path: Path) -> None:
    array = MappedFile.open(path).array("<f4", (5,), 0)
    assert is_intact(array[1:3])
    path.write_bytes(b"")
    assert not is_intact(array[1:3])
    path.unlink()
    assert is_intact(array)  # nobody can reach it any more
    assert is_intact(np.ones(3))


def test_a_file_that_takes_the_name_changes_nothing(path: Path) -> None:
    array = MappedFile.open(path).array("<f4", (5,), 0)
    release(array)
    other = path.with_name("other")
    other.write_bytes(bytes(200_000))
    other.replace(path)
    assert is_intact(array)
    np.testing.assert_array_equal(array, np.arange(5))


def test_other_arrays_are_left_alone(tmp_path: Path) -> None:
    """A private map that was written to would lose what was written."""
    plain = np.arange(5000.0)
    plain.tofile(tmp_path / "m")
    private = np.memmap(tmp_path / "m", np.float64, mode="c")
    private[:] = 7
    for array in (plain, private, private[3:]):
        before = array.copy()
        release(array)
        np.testing.assert_array_equal(array, before)
