"""The options that measurements against other programs have in common, and the files they write."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.clocks import CLOCKS, CPU, WALL
from tests.bench.machine import usable_cores
from tests.bench.turns import Pace


def parser_for(description: str | None, nets: Iterable[str]) -> argparse.ArgumentParser:
    known = list(nets)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=known, default=known, metavar="NET")
    parser.add_argument("--threads", type=int, nargs="+", help="one and all, if not said otherwise")
    parser.add_argument("--clock", choices=CLOCKS, default=WALL, help="what is taken of a call; cpu is for one thread")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a program's turn, at least one call")
    parser.add_argument("--limit", type=float, default=120, help="seconds for the rounds of a network and setting")
    parser.add_argument("--without", nargs="+", default=[], metavar="PROGRAM", help="as the table names it")
    parser.add_argument("--seed", type=int, default=0, help="of weights and inputs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    return parser


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Ends where the CPU clock would be read of several threads: it counts those that wait, too."""
    options = parser.parse_args(arguments)
    if options.threads is None:
        options.threads = [1] if options.clock == CPU else sorted({1, usable_cores()})
    if options.clock == CPU and options.threads != [1]:
        parser.error("--clock cpu is for one thread: threads that wait for others use a processor, too")
    return options


def pace_of(options: argparse.Namespace) -> Pace:
    return Pace(options.rounds, options.seconds, options.limit, options.clock)


def left_of(known: dict[str, frozenset[str]], ours: str, without: Sequence[str]) -> dict[str, frozenset[str]]:
    """Names of the programs of each framework that has any left."""
    unknown = set(without) - {ours} - frozenset().union(*known.values())
    if unknown or ours in without:
        sys.exit(f"--without takes peers; these are none: {', '.join(unknown or {ours})}")
    return {name: programs - set(without) for name, programs in known.items() if programs - set(without)}


def write(options: argparse.Namespace, document: dict[str, Any], markdown: str) -> None:
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown)
