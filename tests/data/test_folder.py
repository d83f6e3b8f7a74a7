from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netdsl.data import open_data
from netdsl.data.folder import folder
from netdsl.diagnostics import Level, UserError


def write(path: Path, value: int = 100, mode: str = "L", size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for number in range(10):
        write(tmp_path / "pets" / "dog" / f"{number}.png", number)
        write(tmp_path / "pets" / "cat" / f"{number}.jpg", number, mode="RGB")
    return tmp_path / "pets"


def names(paths: tuple[Path, ...]) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in paths}


def test_classes_are_sorted_and_a_fifth_is_for_testing(pets: Path) -> None:
    data = folder(pets)
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.test.targets.tolist() == [0, 0, 1, 1]
    assert not names(data.train.paths) & names(data.test.paths)
    assert data.warnings == ()


def test_the_split_follows_names_and_seed_only(pets: Path, tmp_path: Path) -> None:
    first = names(folder(pets).test.paths)
    pets.rename(tmp_path / "moved")
    assert names(folder(tmp_path / "moved").test.paths) == first
    assert any(names(folder(tmp_path / "moved", split_seed=seed).test.paths) != first for seed in (1, 2, 3))


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_given_splits(tmp_path: Path, test_name: str) -> None:
    write(tmp_path / "train" / "a" / "1.png")
    write(tmp_path / "train" / "b" / "1.png")
    write(tmp_path / test_name / "b" / "2.png")
    data = folder(tmp_path)
    assert (data.classes, len(data.train), data.test.targets.tolist()) == (("a", "b"), 2, [1])


def test_a_test_class_without_training_pictures(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a" / "1.png")
    write(tmp_path / "test" / "c" / "2.png")
    with pytest.raises(UserError, match="class `c` is in `test` but not in `train`"):
        folder(tmp_path)


def test_unreadable_pictures_are_named_counted_and_skipped(pets: Path) -> None:
    whole = (pets / "dog" / "3.png").read_bytes()
    (pets / "dog" / "3.png").write_bytes(whole[: len(whole) // 2])
    (pets / "cat" / "broken.jpg").write_bytes(b"nothing")
    data = folder(pets)
    assert len(data.train) + len(data.test) == 19
    (warning,) = data.warnings
    assert "2 of 21 files" in warning.title
    assert any("dog/3.png" in note for note in warning.notes)
    assert any("cat/broken.jpg" in note for note in warning.notes)
    with pytest.raises(UserError) as caught:
        open_data(f"folder:{pets}", strict=True)
    assert caught.value.diagnostics[0].level is Level.ERROR


def test_links_that_lead_out_are_not_followed(pets: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "secret" / "x.png")
    (pets / "dog" / "link.png").symlink_to(outside)
    (pets / "dog" / "inside.png").symlink_to(pets / "dog" / "1.png")
    (pets / "dog" / "loop").symlink_to(pets)
    (pets / "elsewhere").symlink_to(outside.parent)
    data = folder(pets)
    assert len(data.train) + len(data.test) == 21
    assert data.classes == ("cat", "dog")
    assert data.warnings[0].notes == ("dog/link.png", "dog/loop", "elsewhere")


def test_other_files_are_told_and_hidden_ones_ignored(pets: Path) -> None:
    (pets / "cat" / "notes.txt").write_text("hello")
    (pets / "cat" / ".hidden").write_text("hello")
    (warning,) = folder(pets).warnings
    assert warning.notes == ("cat/notes.txt",)


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no readable training pictures"):
        folder(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="no readable training pictures"):
        folder(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        open_data(f"folder:{tmp_path / 'none'}")


def test_unknown_data() -> None:
    with pytest.raises(UserError) as caught:
        open_data("digit")
    assert caught.value.diagnostics[0].help == "did you mean `digits`?"
    with pytest.raises(UserError):
        open_data("idx:")


def test_decoded_values(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a" / "1.png", 51)
    write(tmp_path / "test" / "a" / "1.png", 255)
    data = folder(tmp_path)
    np.testing.assert_allclose(data.train.image(0), np.full((1, 4, 6), 0.2), rtol=1e-6)
    np.testing.assert_array_equal(data.test.image(0), np.ones((1, 4, 6)))
