"""Writing a file so that its name always leads to a whole one: the earlier content or the new."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from netdsl.diagnostics import Code, UserError

_SUFFIX = ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, surviving a kill or a power cut at any moment.

    The bytes go to a new file in the same folder, are flushed to the disk, and then take the name in one
    rename. Raises UserError when the place cannot be written; nothing half-written stays behind.
    """
    import tempfile  # takes milliseconds that a process which only reads does not need

    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        temporary = None
        _flush_folder(path.parent)
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what a killed process left of its attempts to write ``folder / name``."""
    for path in folder.glob(f".{name}.*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            path.unlink()


def not_writable(path: Path, error: OSError) -> UserError:
    """What to tell of a file that could not be written. Where there was no room: that the earlier file still is."""
    reason = error.strerror or str(error)
    help = None
    if error.errno in _FULL:
        kept = path.is_file()
        help = "make room for it" + ("; the file that was there before is as it was" if kept else "")
    return UserError.of(Code.FILE_NOT_WRITABLE, f"`{path}` cannot be written: {reason}", help=help)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    """mkstemp makes private files; a result should have the permissions of any other file."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
