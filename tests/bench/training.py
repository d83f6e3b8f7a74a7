"""The whole training step on the CPU against PyTorch: forward, softmax cross entropy, backward, SGD with momentum 0.9
and weight decay; float32, the same initial weights and batches.

    python -m pip install '.[parity]'
    python -m tests.bench.training --json training.json --markdown training.md
    python -m tests.bench.training --nets resnet18 unet --threads 1 --clock cpu --rounds 5 --without torch.compile

Every program has a process of its own: PyTorch layer by layer, the same with channels last, and ``torch.compile``. They
take turns, one at a time while the others are stopped, in an order that turns by one every round. The losses of the
first 3 steps, each with a batch of its own, are compared before anything is timed; who differs by more than the
tolerance, is not installed or cannot run a network is named in its place. Layers that drop out drop nothing, in all
programs. PyTorch's SGD is its fused one.

Times are milliseconds a step, arrays in and loss out: the median of all rounds (of the median step of each), and their
10th to 90th percentile; with ``--clock cpu``, for one thread on a machine that others use, the least CPU time of a
step. ``best peer / netdsl`` above 1 means that netdsl is faster than all of PyTorch's ways. Memory is what netdsl's
plan says, and the peak of each process above what it had with its framework imported. Ends with 1 if any program's
losses differ.
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

from tests.bench import memory_table, table
from tests.bench.machine import machine
from tests.bench.options import left_of, pace_of, parsed, parser_for, write
from tests.bench.peers import OURS
from tests.bench.trainers import FRAMEWORKS, framework, memory_of
from tests.bench.training_task import BATCHES, TrainingTask
from tests.bench.turns import all_equal, compare, take_turns
from tests.bench.workers import Failed, Worker

TOLERANCE = 1e-3
"""Largest difference of a loss to netdsl's, relative, over the first steps."""

AGREEMENT = "Losses of the first three steps agree within {:g}, relative."


def main() -> None:
    options = parsed(parser_for(__doc__, BATCHES))
    programs = chosen_programs(options.without)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no stopped process is left behind
    command = "python -m tests.bench.training " + shlex.join(sys.argv[1:])
    results: list[dict[str, Any]] = []
    for key in options.nets:
        with tempfile.TemporaryDirectory() as folder:
            task = TrainingTask.prepare(key, options.seed, Path(folder))
            for threads in options.threads:
                results.append(measure(task, threads, programs, options))
                print(table.plain(results[-1], options.clock), memory_table.plain(results[-1]), sep="\n", flush=True)
        document = {"machine": machine(_packages()), "command": command.strip(), "tolerance": TOLERANCE}
        document |= {"clock": options.clock, "results": results}
        # After every network: a long run that is ended has what it had.
        write(options, document, markdown(document))
    print(table.summary(results))
    sys.exit(0 if all_equal(results) else 1)


def chosen_programs(without: Sequence[str]) -> dict[str, frozenset[str]]:
    """Names of the programs of each framework that has any left."""
    return left_of({name: frozenset(framework(name).PROGRAMS) for name in FRAMEWORKS}, OURS, without)


def measure(
    task: TrainingTask, threads: int, programs: Mapping[str, frozenset[str]], options: argparse.Namespace
) -> dict[str, Any]:
    """All programs on one task with one number of threads, as plain JSON."""
    with ExitStack() as stack:
        workers = {
            title: stack.enter_context(Worker(framework(name).__name__, task, threads, frozenset([title])))
            for name in programs
            for title in framework(name).PROGRAMS
            if title in programs[name]
        }
        found = compare({title: worker.made[title] for title, worker in workers.items()}, TOLERANCE, "losses")
        turns = [(worker, title) for title, worker in workers.items() if "failed" not in found[title]]
        found |= take_turns(turns, found, pace_of(options))
        for worker, title in turns:
            if "failed" not in found[title]:
                memory = worker.ask(title, memory_of)
                found[title]["memory"] = {} if isinstance(memory, Failed) else memory
    network = f"{task.network.title} ({task.batch})"
    result = {"network": network, "file": task.network.where, "samples": task.batch, "threads": threads}
    return result | table.best_peer(found) | {"programs": found}


def markdown(document: Mapping[str, Any]) -> str:
    """Times, then memory."""
    times = table.markdown(document, AGREEMENT, "losses")
    return f"{times}\n{memory_table.markdown(document['results'])}"


def _packages() -> list[str]:
    return [package for name in FRAMEWORKS for package in framework(name).PACKAGES]


if __name__ == "__main__":
    main()
