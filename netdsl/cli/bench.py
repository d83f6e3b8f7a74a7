"""``netdsl bench``: where a network's time goes, layer by layer, against the roofline of the machine."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, print_json, session_of, write_output
from netdsl.cli.options import build_options, json_option, network_options
from netdsl.driver import Build, Origin, load, usable_cores

if TYPE_CHECKING:
    from netdsl.bench.measure import Bench
    from netdsl.machine import Machine

MAX_ROUNDS = 10_000


@click.command(
    epilog="""\b
Columns:
  time            median of the layer, with what is fused into it, in a build that reads a clock behind every
                  layer; the network's own time is that of the build that everyone runs
  GFLOP/s, GB/s   operations of the layer as it is defined, and bytes of its operands and results, a second
  bound, of roof  which of arithmetic and main memory takes it longer at least, and how much of its time that is;
                  above 100 % its data were still in a cache, or its method needs fewer operations

\b
Weights are those that training starts with, inputs are random: neither matters for the time. The machine is as
`netdsl doctor --measure` found it; without that it is measured now, which takes 2 seconds.

\b
Examples:
  netdsl bench zoo:resnet50
  netdsl bench zoo:vgg_d --threads 1 --batch 16 --rounds 10
  netdsl bench zoo:resnet18 --batch 8 --training
  netdsl bench zoo:lenet5 --json
  netdsl bench zoo:googlenet --profile googlenet.html
  netdsl bench zoo:googlenet --profile googlenet.json
"""
)
@network_options
@build_options(batch=1, math=True)
@click.option(
    "--rounds", type=click.IntRange(2, MAX_ROUNDS), default=30, show_default=True, metavar="N",
    help="How often to measure; more rounds, steadier numbers.",
)  # fmt: skip
@click.option("--machine", metavar="FILE", help="Compare with the machine of this file instead of this one.")
@click.option("--training", is_flag=True, help="Measure the training step instead of inference.")
@click.option(
    "--profile",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Also write a page to look at (.html) or a time line for Perfetto and chrome://tracing (.json).",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    network: Origin,
    build: Build,
    rounds: int,
    machine: str | None,
    training: bool,
    profile: Path | None,
) -> None:
    """Measure how long a network and each of its layers take here, against what the machine can do at most."""
    session = session_of(context)
    if profile is not None and profile.suffix not in (".html", ".json"):
        raise click.UsageError(f"--profile writes .html or .json; `{profile}` ends in neither.")
    model = load(network)
    build = replace(build, threads=build.threads or usable_cores(), training=training)

    from netdsl.bench.document import bench_document
    from netdsl.bench.measure import bench
    from netdsl.bench.text import bench_text

    found = bench(model, build, _machine(session, build, machine), rounds)
    if profile is not None:
        write_output(profile, _profile(found, profile))
    if session.json:
        print_json(bench_document(found))
    else:
        sys.stdout.write(bench_text(found))


def _machine(session: Session, build: Build, name: str | None) -> Machine:
    """The machine of a file, or this one: as the doctor measured it, or measured now."""
    from netdsl.driver import find_device
    from netdsl.measured import MEASURED, find_machine, kept_file

    kept = kept_file()
    if name is not None or (kept is not None and kept.exists()):
        return find_machine(name or MEASURED)
    if not session.json:
        print("measuring this machine; `netdsl doctor --measure` remembers it", file=sys.stderr)
    return find_device(build).measure(usable_cores())


def _profile(found: Bench, path: Path) -> str:
    if path.suffix == ".html":
        from netdsl.bench.page import bench_page

        return bench_page(found)
    from netdsl.bench.trace import trace_document

    return json.dumps(trace_document(found)) + "\n"
