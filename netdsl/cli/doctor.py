"""``netdsl doctor``: what netdsl finds on this machine, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from netdsl.cli.common import print_json, session_of
from netdsl.cli.options import json_option
from netdsl.diagnostics import UserError
from netdsl.driver import usable_cores

REQUIRED = ("numpy", "lark", "networkx", "click", "rich", "safetensors", "Pillow")
EXTRAS = {
    "test": ("pytest", "hypothesis"),
    "parity": ("torch",),
    "bench": ("onnx", "onnxruntime", "torch", "openvino", "ncnn", "pnnx", "MNN"),
    "dev": ("ruff", "mypy"),
}


@click.command(
    epilog="""\b
Examples:
  netdsl doctor
  netdsl doctor --json
  netdsl doctor --measure

\b
--measure keeps what it finds in netdsl's folder of your cache directory (NETDSL_CACHE_DIR, or XDG_CACHE_HOME/netdsl);
`netdsl report --cost --machine measured` estimates times with it.
"""
)
@click.option("--measure", is_flag=True, help="Measure peak arithmetic and memory bandwidth, in about 3 seconds.")
@json_option
@click.pass_context
def command(context: click.Context, measure: bool) -> None:
    """Say what netdsl finds on this machine.

    Ends with 1 if something that netdsl needs is missing or does not work.
    """
    facts, problems = _examine()
    if measure:
        facts["machine"] = _measure(problems)
    if session_of(context).json:
        print_json({"ok": not problems, "problems": problems, **facts})
    else:
        if measure:
            facts["machine"] = {name: "unknown" if fact is None else fact for name, fact in facts["machine"].items()}
        _print(facts)
        for problem in problems:
            print(f"problem: {problem}", file=sys.stderr)
        print("everything netdsl needs is here" if not problems else f"{len(problems)} problems")
    context.exit(1 if problems else 0)


def _examine() -> tuple[dict[str, Any], list[str]]:
    problems: list[str] = []
    facts: dict[str, Any] = {
        "netdsl": version("netdsl"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": usable_cores(),
        "packages": {name: _version(name) for name in REQUIRED},
        "extras": {extra: all(map(_version, names)) for extra, names in EXTRAS.items()},
        "targets": _targets(problems),
    }
    problems += [f"the package {name} is missing" for name, found in facts["packages"].items() if found is None]
    return facts, problems


def _targets(problems: list[str]) -> dict[str, Any]:
    """Every installed backend by name, with what it says of itself; what fails is a problem, not a crash."""
    from netdsl.backend import backend_names, find_backend

    targets: dict[str, Any] = {}
    for name in backend_names():
        try:
            targets[name] = {"works": True, **find_backend(name).describe()}
        except Exception as error:  # whatever is wrong with a backend is what the doctor is asked for
            reason = error.diagnostics[0].title if isinstance(error, UserError) else str(error)
            targets[name] = {"works": False, "reason": reason}
            problems.append(f"the target {name} does not work: {reason}")
    if not targets:
        problems.append("no target is installed")
    return targets


def _measure(problems: list[str]) -> dict[str, Any]:
    """This machine's peak, bandwidth and caches, and the file that they are kept in. Raises DeviceMissing."""
    from netdsl.backend import find_device
    from netdsl.measured import keep

    busy = _others_running()
    machine = find_device("cpu").measure(usable_cores())
    path = None
    try:
        path = keep(machine)
    except UserError as error:
        problems.append(f"the measurement is not kept: {error.diagnostics[0].title}")
    if busy:
        print(f"note: other programs were running (load {busy:.1f}): the rates may be too low", file=sys.stderr)
    return {**machine.to_json(), "file": str(path) if path else None}


def _others_running() -> float:
    """The load of the last minute where it is enough to disturb a measurement, else 0."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return load if load > 0.3 else 0.0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _print(facts: Mapping[str, Any], indent: str = "") -> None:
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        if isinstance(value, Mapping):
            print(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            print(f"{indent}{name:<{width}}  {_rate(name, value) or _text(value)}")


def _rate(name: str, value: Any) -> str | None:
    """What was measured, with its unit; None for other facts."""
    from netdsl.machine import rate_text

    kinds = {"peak_flops": "FLOP/s", "bandwidth": "B/s", "l2_bandwidth": "B/s"}
    unit = kinds.get(name.removesuffix("_per_core"))
    return rate_text(value, unit) if unit and not isinstance(value, str) else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "not installed" if value is None else str(value)
