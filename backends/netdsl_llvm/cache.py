"""Objects kept on disk between runs. What is found there is executed, so nothing is trusted without checks.

An entry is one file named by the hash of everything its content depends on. It is used only if it is a plain
file of this user's, not writable by others, with our header and a matching checksum; anything else is passed
over. A directory that cannot be used means no cache, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from functools import cache
from pathlib import Path

from netdsl.cache_directory import cache_directory
from netdsl.record import record
from netdsl_llvm.target import Target

CACHE_VERSION = 1
_MAGIC = b"netdsl-object-%d\n" % CACHE_VERSION
_SUFFIX = ".o"
_DIGEST = hashlib.sha256().digest_size
DEFAULT_LIMIT = 512 << 20


@record
class ObjectCache:
    """Objects under `directory` (None: keep nothing), at most `limit` bytes of them."""

    directory: Path | None
    limit: int = DEFAULT_LIMIT

    @staticmethod
    def default() -> ObjectCache:
        """In the folder `objects` of the user's cache directory."""
        directory = cache_directory()
        return ObjectCache(directory / "objects" if directory else None)

    @staticmethod
    def key(target: Target, text: str) -> str:
        """The name of the object that `text` (an IR text, or whatever determines it) gives on `target`."""
        digest = hashlib.sha256()
        parts = (*_versions(), target.object_triple(), target.cpu, target.features, text)
        for part in parts:
            encoded = part.encode()
            digest.update(b"%d:" % len(encoded))
            digest.update(encoded)
        return digest.hexdigest()

    def get(self, key: str) -> bytes | None:
        """The object kept under `key`, or None where there is none that passes every check."""
        if self.directory is None or not _is_private(self.directory):
            return None
        path = self.directory / (key + _SUFFIX)
        content = _read_owned(path)
        if content is None or not content.startswith(_MAGIC):
            return None
        start = len(_MAGIC) + _DIGEST
        digest, payload = content[len(_MAGIC) : start], content[start:]
        if hashlib.sha256(key.encode() + payload).digest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # eviction drops what was used longest ago
        return payload

    def put(self, key: str, payload: bytes) -> None:
        """Keep an object, atomically; concurrent writers of one key write the same content."""
        if self.directory is None or len(payload) > self.limit:
            return
        digest = hashlib.sha256(key.encode() + payload).digest()
        try:
            _make_private(self.directory)
            if not _is_private(self.directory):
                return
            self._evict(len(payload))
            _write_atomically(self.directory / (key + _SUFFIX), _MAGIC + digest + payload)
        except OSError:
            return

    def usage(self) -> tuple[int, int]:
        """Number of entries and their bytes."""
        sizes = [size for _, size, _ in self._entries()]
        return len(sizes), sum(sizes)

    def _entries(self) -> list[tuple[int, int, Path]]:
        """(last use, bytes, path) of everything in the directory."""
        entries = []
        with contextlib.suppress(OSError):
            for path in self.directory.iterdir() if self.directory else ():
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    entries.append((status.st_mtime_ns, status.st_size, path))
        return entries

    def _evict(self, coming: int) -> None:
        """Drop the entries used longest ago until `coming` more bytes fit."""
        entries = self._entries()
        total = sum(size for _, size, _ in entries) + coming
        for _, size, path in sorted(entries):
            if total <= self.limit:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size


def _write_atomically(path: Path, content: bytes) -> None:
    import tempfile  # takes milliseconds that a process which finds everything here does not need

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _read_owned(path: Path) -> bytes | None:
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    with contextlib.suppress(OSError):
        handle = os.open(path, flags)
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not _is_ours(status):
            os.close(handle)
            return None
        with os.fdopen(handle, "rb") as file:
            return file.read()
    return None


def _make_private(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)


def _is_private(directory: Path) -> bool:
    try:
        status = directory.stat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_ours(status)


def _is_ours(status: os.stat_result) -> bool:
    """Owned by this user and not writable by anyone else."""
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@cache
def _versions() -> tuple[str, ...]:
    import llvmlite
    import llvmlite.binding as binding

    return str(CACHE_VERSION), str(llvmlite.__version__), str(binding.llvm_version_info)
