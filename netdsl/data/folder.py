"""`--data folder:DIR`: a folder of pictures a class.

Class names are the folders' names, sorted by code point. Where DIR holds `train` and one of `test`,
`val`, `valid` or `validation`, those are the two splits. Otherwise a fifth of every class (rounded, at
least one of two) is set aside for testing: the files whose SHA-256 of "seed:class/file" is smallest. So the
split depends on names only, and is the same on every machine and for every run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from netdsl.data.ahead import Ahead
from netdsl.data.base import Data, Float32Array, IntArray
from netdsl.data.picture import SUFFIXES, read_picture
from netdsl.diagnostics import Code, Diagnostic, Level, ResourceLimit, UserError

TEST_SHARE = 0.2
TEST_FOLDERS = ("test", "val", "valid", "validation")
MAX_FILES = 5_000_000
MAX_DEPTH = 8
MAX_NAMED = 5


@dataclass(frozen=True)
class FolderSplit:
    """Picture files and their class numbers; a picture is decoded whenever it is asked for."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Float32Array:
        return read_picture(self.paths[index])

    @cached_property
    def targets(self) -> IntArray:
        return np.array(self.labels, dtype=np.int64)


@dataclass
class _Scan:
    """What was left out while listing, to be told in one warning a kind."""

    root: Path
    escaping: list[str]
    not_pictures: list[str]
    unreadable: list[str]
    files: int = 0

    def relative(self, path: str | Path) -> str:
        return os.path.relpath(path, self.root)


def folder(root: Path, *, strict: bool = False, split_seed: int = 0) -> Data:
    """List and check the pictures below ``root``.

    Every file is decoded once here, so that a damaged one is known before training starts: it is named and
    skipped with a warning, or with ``strict`` an error. Links that lead out of ``root`` are not followed.
    """
    if not root.is_dir():
        raise UserError.of(Code.DATA_NOT_FOUND, f"`{root}` is not a folder")
    root = root.resolve()
    scan = _Scan(root, [], [], [])
    try:
        classes, train, test = _splits(root, scan, split_seed)
    except OSError as error:
        raise UserError.of(Code.DATA_UNREADABLE, f"`{root}` cannot be listed: {error}") from error
    train, test = _readable(train, scan), _readable(test, scan)
    warnings = _warnings(scan)
    if strict and warnings:
        raise UserError(Diagnostic(w.code, Level.ERROR, w.title, notes=w.notes) for w in warnings)
    for name, split in (("training", train), ("test", test)):
        if not len(split):
            raise UserError.of(
                Code.DATA_EMPTY,
                f"`{root}` gives no readable {name} pictures",
                notes=tuple(w.title for w in warnings),
                help="folder data have one folder of pictures a class: DIR/cat/1.jpg, DIR/dog/2.png, ...",
            )
    return Data(f"folder:{root}", classes, train, test, "cover", warnings=warnings)


def _splits(root: Path, scan: _Scan, seed: int) -> tuple[tuple[str, ...], FolderSplit, FolderSplit]:
    test_root = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
    if test_root is not None and (root / "train").is_dir():
        train_files, test_files = _by_class(root / "train", scan), _by_class(test_root, scan)
        unknown = sorted(set(test_files) - set(train_files))
        if unknown:
            raise UserError.of(
                Code.DATA_LABELS,
                f"class `{unknown[0]}` is in `{scan.relative(test_root)}` but not in `train`",
            )
        classes = tuple(sorted(train_files))
        return classes, _split(classes, train_files), _split(classes, test_files)
    files = _by_class(root, scan)
    classes = tuple(sorted(files))
    chosen = {name: _test_files(name, paths, seed) for name, paths in files.items()}
    rest = {name: [path for path in paths if path not in chosen[name]] for name, paths in files.items()}
    return classes, _split(classes, rest), _split(classes, {n: sorted(paths) for n, paths in chosen.items()})


def _split(classes: tuple[str, ...], files: dict[str, list[Path]]) -> FolderSplit:
    pairs = [(path, number) for number, name in enumerate(classes) for path in files.get(name, [])]
    return FolderSplit(tuple(path for path, _ in pairs), tuple(number for _, number in pairs))


def _test_files(name: str, paths: list[Path], seed: int) -> set[Path]:
    count = round(len(paths) * TEST_SHARE)
    if len(paths) >= 2:
        count = max(1, count)
    ranked = sorted(
        paths,
        key=lambda p: hashlib.sha256(f"{seed}:{name}/{p.name}".encode(errors="surrogateescape")).digest(),
    )
    return set(ranked[:count])


def _by_class(root: Path, scan: _Scan) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for entry in sorted(os.scandir(root), key=lambda e: e.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            found[entry.name] = sorted(_pictures(Path(entry.path), scan, MAX_DEPTH))
        elif entry.is_symlink() and entry.is_dir():
            scan.escaping.append(scan.relative(entry.path))
    return found


def _pictures(root: Path, scan: _Scan, depth: int) -> Iterator[Path]:
    for entry in os.scandir(root):
        if entry.name.startswith("."):
            continue
        scan.files += 1
        if scan.files > MAX_FILES:
            raise ResourceLimit.of(Code.LIMIT_SIZE, f"`{scan.root}` holds more than {MAX_FILES} files")
        path = Path(entry.path)
        if entry.is_symlink() and (entry.is_dir() or not path.resolve().is_relative_to(scan.root)):
            scan.escaping.append(scan.relative(path))
        elif entry.is_dir(follow_symlinks=False):
            if depth == 0:
                raise ResourceLimit.of(Code.LIMIT_DEPTH, f"`{path}` is nested deeper than {MAX_DEPTH} folders")
            yield from _pictures(path, scan, depth - 1)
        elif path.suffix.lower() in SUFFIXES:
            yield path
        else:
            scan.not_pictures.append(scan.relative(path))


def _readable(split: FolderSplit, scan: _Scan) -> FolderSplit:
    kept = []
    for path, label, fault in zip(split.paths, split.labels, Ahead().map(_fault, split.paths), strict=True):
        if fault is None:
            kept.append((path, label))
        else:
            scan.unreadable.append(fault.replace(str(path), scan.relative(path)))
    return FolderSplit(tuple(path for path, _ in kept), tuple(label for _, label in kept))


def _fault(path: Path) -> str | None:
    """Why a picture cannot be read."""
    try:
        read_picture(path)
    except UserError as error:
        return error.diagnostics[0].title
    return None


def _warnings(scan: _Scan) -> tuple[Diagnostic, ...]:
    kinds = (
        (scan.unreadable, "cannot be read and are left out"),
        (scan.escaping, "are links that are not followed"),
        (scan.not_pictures, "are not pictures by their names and are left out"),
    )
    return tuple(
        Diagnostic(
            Code.DATA_UNREADABLE,
            Level.WARNING,
            f"{len(names)} of {scan.files} files below `{scan.root}` {what}",
            notes=_shortened(sorted(names)),
        )
        for names, what in kinds
        if names
    )


def _shortened(names: list[str]) -> tuple[str, ...]:
    if len(names) <= MAX_NAMED:
        return tuple(names)
    return (*names[:MAX_NAMED], f"and {len(names) - MAX_NAMED} more")
