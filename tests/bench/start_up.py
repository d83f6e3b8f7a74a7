"""From the start of a process to a network's first result, cold and warm, and the memory it takes.

    python -m tests.bench.start_up                       # zoo:resnet50 and zoo:densenet201
    python -m tests.bench.start_up zoo:vgg_d --runs 9 --json start.json

Every run is a Python process of its own that loads the network, reads its weights from a file, compiles it and calls
it once. Cold: nothing in the cache of compiled code; warm: the same network was compiled before. Times are medians;
memory is the most that was resident, beside that of a process that imports NumPy and the sizes of weights and arena.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

STAGES = ("import", "load", "compile", "first call", "in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", default=["zoo:resnet50", "zoo:densenet201"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found = [measure(net, options.threads, options.runs) for net in options.nets]
    for result in found:
        _print(result)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def measure(net: str, threads: int, runs: int) -> dict[str, Any]:
    """Seconds of each stage, cold and warm, and bytes."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.safetensors")
        planned = _prepare(net, threads, weights)
        cold = [_run(net, threads, weights, Path(folder, f"cache{number}")) for number in range(runs)]
        warm = [_run(net, threads, weights, Path(folder, "cache0")) for _ in range(runs)]
    return {
        "net": net,
        "threads": threads,
        "runs": runs,
        "cold_seconds": {stage: statistics.median(run[stage] for run in cold) for stage in STAGES},
        "warm_seconds": {stage: statistics.median(run[stage] for run in warm) for stage in STAGES},
        "resident_bytes": max(run["bytes"] for run in warm),
        "python_bytes": _python_bytes(),
        **planned,
    }


def _prepare(net: str, threads: int, weights: Path) -> dict[str, int]:
    """Write weights; the sizes of the plan."""
    from netdsl.driver import Build, Origin, find_device, load, make_plan, optimize
    from netdsl.weights.files import write_tensors
    from netdsl.weights.initialize import initial_parameters

    graph, build = load(Origin(net)).graph, Build(threads=threads)
    write_tensors(weights, initial_parameters(graph.params, 0), {})
    plan = make_plan(optimize(graph, build)[0], find_device(build), build)
    return {"weights_bytes": plan.weights_bytes, "arena_bytes": plan.arena_bytes}


def _run(net: str, threads: int, weights: Path, cache: Path) -> dict[str, float]:
    call = f"from tests.bench.start_up import first_result; first_result({net!r}, {threads}, {str(weights)!r}, "
    return _child(call + f"{time.monotonic()!r})", NETDSL_CACHE_DIR=str(cache))


def first_result(net: str, threads: int, weights: str, started: float) -> None:
    """Print the seconds of each stage of this process, and its memory; what it imports is part of what is measured."""
    marks = [started]

    def mark() -> None:
        marks.append(time.monotonic())

    import netdsl

    mark()
    network = netdsl.load(net)
    mark()
    run = netdsl.compile(network, threads=threads, weights=weights)
    mark()
    import numpy as np

    run(*(np.zeros((1, *shape), np.float32) for shape in network.inputs.values()))
    mark()
    stages = [end - start for start, end in pairwise(marks)]
    print(json.dumps({**dict(zip(STAGES, [*stages, marks[-1] - started], strict=True)), "bytes": resident_bytes()}))


def resident_bytes() -> int:
    """The most this process has had in memory. Linux's ru_maxrss is not of this process alone: it survives exec."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _python_bytes() -> int:
    code = "import json, numpy; from tests.bench.start_up import resident_bytes; print(json.dumps({'bytes': "
    return int(_child(code + "resident_bytes()}))")["bytes"])


def _child(code: str, **environment: str) -> dict[str, float]:
    """What a process prints; it reads and leaves compiled modules as an installed package has them."""
    command = [sys.executable, "-c", code]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**own, **environment})
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _print(found: Mapping[str, Any]) -> None:
    print(f"{found['net']}, {found['threads']} threads, median of {found['runs']} processes, seconds")
    print("        " + "".join(f"{stage:>12}" for stage in STAGES))
    for name in ("cold", "warm"):
        print(f"  {name:6}" + "".join(f"{found[f'{name}_seconds'][stage]:12.3f}" for stage in STAGES))
    names = ("weights_bytes", "arena_bytes", "python_bytes")
    needed = sum(found[name] for name in names)
    parts = " + ".join(f"{name.removesuffix('_bytes')} {found[name] / 2**20:.0f}" for name in names)
    most = found["resident_bytes"]
    print(f"  memory {most / 2**20:.0f} MiB: {most / needed:.2f} times {parts}")


if __name__ == "__main__":
    main()
