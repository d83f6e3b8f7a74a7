"""``netdsl report --fits``: the largest batch for an amount of memory."""

from __future__ import annotations

import re

import click

from netdsl.cli.common import MAX_BATCH, Session, print_json
from netdsl.driver import Build, largest_batch
from netdsl.elaborate import Model

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_bytes(text: str) -> int:
    """``8GiB``, ``500MB`` or ``0.5GiB`` as bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]+)", text)
    units = {name.lower(): size for name, size in _UNITS.items()}
    if not found or found[2].lower() not in units:
        raise click.UsageError(f"--fits: `{text}` is not an amount such as 8GiB; units: {', '.join(_UNITS)}.")
    return int(float(found[1]) * units[found[2].lower()])


def print_fit(session: Session, model: Model, build: Build, limit: int) -> None:
    """The largest batch whose plan fits, weights and optimizer state included."""
    batch = largest_batch(model, build, limit, MAX_BATCH)
    kind = "training" if build.training else "inference"
    if session.json:
        print_json({"net": model.name, "fits": {"bytes": limit, "kind": kind, "target": build.target, "batch": batch}})
    elif batch:
        reached = " (the largest there is)" if batch == MAX_BATCH else ""
        print(f"{model.name}: {kind} fits {limit:,} bytes up to batch {batch:,}{reached}")
    else:
        print(f"{model.name}: {kind} does not fit {limit:,} bytes, not even at batch 1")
