"""The machine a user names: a file that describes one, or this one as it was measured and kept."""

from __future__ import annotations

import json
from pathlib import Path

from netdsl.cache_directory import cache_directory
from netdsl.diagnostics import Code, UserError
from netdsl.machine import Machine, parse_machine

MEASURED = "measured"
"""The name of this machine's own measurement, where a file may stand."""


def find_machine(name: str) -> Machine:
    """``measured``, or the machine of a file. Raises UserError at the place of whatever is wrong with it."""
    from netdsl.elaborate.files import read_source

    if name != MEASURED:
        return parse_machine(read_source(Path(name)))
    path = kept_file()
    if path is None or not path.exists():
        raise UserError.of(
            Code.MACHINE,
            "this machine has not been measured",
            notes=[f"its measurement would be {path}" if path else "NETDSL_CACHE_DIR says to keep no files"],
            help="`netdsl doctor --measure` does it, or name a file that describes a machine",
        )
    return parse_machine(read_source(path))


def kept_file() -> Path | None:
    """Where the measurement of this machine is kept, made yet or not; None where nothing is kept."""
    directory = cache_directory()
    return directory / "machine.json" if directory else None


def keep(machine: Machine) -> Path | None:
    """Write the measurement, replacing the last one in one step. Raises UserError where it cannot be written."""
    from netdsl.weights.atomic import not_writable, write_atomically

    path = kept_file()
    if path is None:
        return None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(path, error) from error
    write_atomically(path, (json.dumps(machine.to_json(), indent=2) + "\n").encode())
    return path
