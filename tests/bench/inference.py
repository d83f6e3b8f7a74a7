"""Inference on the CPU against PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN: float32, the same weights and inputs.

    python -m pip install '.[bench]'
    python -m tests.bench.inference --json inference.json --markdown inference.md
    python -m tests.bench.inference --nets resnet50 vgg16 --threads 1 --batch 1 --rounds 5 --without torch.compile

Every framework has a process of its own. They take turns, one framework at a time while the others are stopped, in an
order that turns by one every round, so that a noisy machine treats all alike. Outputs are compared before anything is
timed; who differs by more than the tolerance, is not installed or cannot run a network is named in its place.

Times are milliseconds a call from Python, arrays in and arrays out: the median of all rounds (of the median call of
each), and their 10th to 90th percentile; with ``--clock cpu``, for one thread on a machine that others use, the least
CPU time of a call. ``best peer / netdsl`` above 1 means that netdsl is faster than all of them.
Ends with 1 if any program's outputs differ.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench import table
from tests.bench.machine import machine
from tests.bench.nets import NETWORKS, Network, Task
from tests.bench.options import left_of, pace_of, parsed, parser_for, write
from tests.bench.peers import FRAMEWORKS, OURS, framework
from tests.bench.turns import all_equal, compare, take_turns
from tests.bench.workers import Worker

TOLERANCE = 1e-3
"""Largest difference of outputs to netdsl's, relative to their largest element: what Winograd convolutions of large
tiles leave of float32 in a deep network. The table says how far each program is from netdsl."""


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no stopped process is left behind
    command = "python -m tests.bench.inference " + shlex.join(sys.argv[1:])
    results: list[dict[str, Any]] = []
    for network in (NETWORKS[key] for key in options.nets):
        for batch in options.batch:
            with tempfile.TemporaryDirectory() as folder:
                task = Task.prepare(network, batch, options.seed, Path(folder))
                for threads in options.threads:
                    results.append(measure(task, threads, chosen_programs(options.without), options))
                    print(table.plain(results[-1], options.clock), flush=True)
            document = {"machine": machine(_packages()), "command": command.strip(), "tolerance": TOLERANCE}
            document |= {"clock": options.clock, "results": results}
            # After every network: a long run that is ended has what it had.
            write(options, document, table.markdown(document))
    print(table.summary(results))
    sys.exit(0 if all_equal(results) else 1)


def _options() -> argparse.Namespace:
    parser = parser_for(__doc__, NETWORKS)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    return parsed(parser)


def chosen_programs(without: Sequence[str]) -> dict[str, frozenset[str]]:
    """Names of the programs of each framework that has any left."""
    return left_of({name: frozenset(framework(name).PROGRAMS) for name in FRAMEWORKS}, OURS, without)


def measure(
    task: Task, threads: int, programs: Mapping[str, frozenset[str]], options: argparse.Namespace
) -> dict[str, Any]:
    """All programs on one task with one number of threads, as plain JSON."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(framework(name).__name__, task, threads, wanted))
            for name, wanted in programs.items()
        ]
        outputs = {title: made for worker in workers for title, made in worker.made.items()}
        found = compare(outputs, TOLERANCE)
        turns = [(worker, title) for worker in workers for title in worker.made if "failed" not in found[title]]
        found |= take_turns(turns, found, pace_of(options))
    result = {"network": task.network.title, "file": _file(task.network), "batch": task.batch, "threads": threads}
    return result | table.best_peer(found) | {"programs": found}


def _packages() -> list[str]:
    return [package for name in FRAMEWORKS for package in framework(name).PACKAGES]


def _file(network: Network) -> str:
    return " ".join([network.where, *(f"--set {name}={value}" for name, value in network.arguments.items())])


if __name__ == "__main__":
    main()
