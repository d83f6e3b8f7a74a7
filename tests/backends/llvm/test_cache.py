"""The object cache: a hit is exactly what was put; anything damaged, foreign or unusable is passed over."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from netdsl_llvm.cache import ObjectCache
from netdsl_llvm.target import Target

PAYLOAD = bytes(range(256)) * 10


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "objects")


def entry(cache: ObjectCache) -> Path:
    assert cache.directory is not None
    (path,) = cache.directory.iterdir()
    return path


def test_round_trip_in_a_private_directory(cache: ObjectCache) -> None:
    assert cache.get("k") is None
    cache.put("k", PAYLOAD)
    assert cache.get("k") == PAYLOAD
    assert cache.get("other") is None
    assert cache.directory is not None
    assert stat.S_IMODE(cache.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(cache).stat().st_mode) == 0o600


def flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    "damage",
    [lambda c: c[:-1], lambda c: c + b"x", flip, lambda c: b"", lambda c: b"\x7fELF" + c, lambda c: c[40:]],
    ids=["truncated", "longer", "bit", "empty", "foreign", "headless"],
)
def test_damage_is_passed_over_and_replaced(cache: ObjectCache, damage: Callable[[bytes], bytes]) -> None:
    cache.put("k", PAYLOAD)
    path = entry(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("k") is None
    cache.put("k", PAYLOAD)
    assert cache.get("k") == PAYLOAD


def test_an_entry_moved_to_another_key_is_refused(cache: ObjectCache) -> None:
    cache.put("k", PAYLOAD)
    path = entry(cache)
    path.rename(path.with_name("other.o"))
    assert cache.get("other") is None


def test_links_and_files_others_can_write_are_refused(cache: ObjectCache) -> None:
    cache.put("k", PAYLOAD)
    path = entry(cache)
    path.chmod(0o666)
    assert cache.get("k") is None
    path.chmod(0o600)
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)
    assert cache.get("k") is None


def test_a_directory_others_can_write_is_not_used(cache: ObjectCache) -> None:
    cache.put("k", PAYLOAD)
    assert cache.directory is not None
    cache.directory.chmod(0o777)
    assert cache.get("k") is None


def test_an_unusable_directory_means_no_cache(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    for directory in (blocker, blocker / "objects", None):
        cache = ObjectCache(directory)
        cache.put("k", PAYLOAD)
        assert cache.get("k") is None


@pytest.mark.skipif(os.getuid() == 0 if hasattr(os, "getuid") else True, reason="root writes everywhere")
def test_a_read_only_directory_means_no_cache(cache: ObjectCache) -> None:
    assert cache.directory is not None
    cache.directory.mkdir()
    cache.directory.chmod(0o500)
    cache.put("k", PAYLOAD)
    assert cache.get("k") is None


def test_what_was_used_longest_ago_is_dropped_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "objects", limit=3 * 2700)
    for index, key in enumerate(("a", "b", "c")):
        cache.put(key, PAYLOAD)
        os.utime(tmp_path / "objects" / f"{key}.o", (index, index))
    assert cache.get("a") == PAYLOAD
    cache.put("d", PAYLOAD)
    assert [cache.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_the_key_depends_on_everything() -> None:
    keys = {
        ObjectCache.key(target, text)
        for target in (Target.named("avx2"), Target.named("avx512"), Target.named("neon"))
        for text in ("", "a", "b")
    }
    assert len(keys) == 9


def test_the_directory_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETDSL_CACHE_DIR", str(tmp_path))
    assert ObjectCache.default().directory == tmp_path / "objects"
    monkeypatch.setenv("NETDSL_CACHE_DIR", "")
    assert ObjectCache.default().directory is None
