"""Which kind of CPU this machine has, found without loading LLVM where the system tells."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_NEEDED = {
    "avx512": ("avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"),
    "avx2": ("avx2", "fma"),
}
"""What a machine must have to be of this kind, the widest first."""


@cache
def host_kind() -> str:
    """One of avx512, avx2, sse4, neon. Raises RuntimeError for any other architecture."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return "neon"
    if machine not in ("x86_64", "amd64"):
        raise RuntimeError(f"no vector description for {machine or 'this machine'}")
    has = _features()
    return next((kind for kind, needed in _NEEDED.items() if has.issuperset(needed)), "sse4")


def cpu_name() -> str:
    """What the maker calls this CPU, empty where the system does not say."""
    name = "".join(filter(str.isprintable, _cpuinfo("model name"))).strip()
    return " ".join(name.split())[:100]


def _cpuinfo(wanted: str) -> str:
    """The first value of this name that Linux lists, or nothing."""
    try:
        lines = _CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == wanted:
            return value.strip()
    return ""


def _features() -> frozenset[str]:
    """Instruction sets of an x86 CPU, in the names that Linux and LLVM share."""
    listed = _cpuinfo("flags")
    if listed:
        return frozenset(listed.split())
    from netdsl_llvm.target import initialized_llvm

    found = initialized_llvm().get_host_cpu_features()
    return frozenset(name for name, present in found.items() if present)
