"""The memory of a process, as proc(5) has it."""

from __future__ import annotations

from pathlib import Path


def resident_bytes() -> int | None:
    """In memory now; None where the system does not say."""
    return _status("VmRSS")


def peak_bytes() -> int | None:
    """The most that was in memory at once since the process began."""
    return _status("VmHWM")


def _status(key: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kibibytes = next((line.split()[1] for line in lines if line.startswith(f"{key}:")), None)
    return None if kibibytes is None else 1024 * int(kibibytes)
