"""The machine a benchmark ran on, in the words a reader of its table needs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VECTORS = ("avx512f", "avx2", "avx", "sse4_2", "asimd")
"""Instruction sets as /proc/cpuinfo names them, widest first."""


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """Processor, cores, system, load, and the version of every package that is measured."""
    facts = _processor()
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "vectors": next((name for name in VECTORS if name in facts.get("flags", "").split()), "unknown"),
        "cores": usable_cores(),
        "system": platform.system(),
        "load": list(os.getloadavg()),
        "versions": {"python": platform.python_version(), **{package: _version(package) for package in packages}},
    }


def _processor() -> dict[str, str]:
    """The first entry of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
