"""``netdsl compile``: the network at any stage between its text and machine code."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from netdsl.cli.common import write_output
from netdsl.cli.options import build_options, json_option, network_options, output_option
from netdsl.diagnostics import Code, UserError
from netdsl.driver import STAGES, Build, Origin, emit

BINARY = ("obj",)


@click.command(
    epilog="""\b
Stages, in order:
  tree       the text as it was understood
  graph      layers with their weights
  step       one step of training: forward, backward, optimizer
  optimized  the graph after the passes
  plan       kernels in order, every buffer with its place
  llvm       the code, as LLVM IR        asm  as assembly        obj  as an object file (needs -o)

\b
Examples:
  netdsl compile zoo:lenet5 --emit graph
  netdsl compile zoo:resnet50 --emit optimized --explain-passes -o resnet50.txt
  netdsl compile zoo:lenet5 --emit plan --training --batch 64
  netdsl compile zoo:lenet5 --emit asm --target cpu:avx2
  netdsl compile zoo:lenet5 --emit obj -o lenet5.o
  netdsl compile net.net --emit optimized --passes fold_bn,dead_code
"""
)
@network_options
@click.option(
    "--emit", "stage", type=click.Choice(STAGES), default="plan", show_default=True, help="The stage to stop at."
)
@output_option
@click.option("--training", is_flag=True, help="Compile the training step instead of inference.")
@build_options(batch=1, math=True)
@click.option("--passes", metavar="A,B|none", help="Run only these passes, in their usual order.")
@click.option("--explain-passes", is_flag=True, help="Say on stderr what each pass rewrote and refused.")
@click.option("--verify", is_flag=True, help="Check the graph after every pass.")
@json_option
def command(
    network: Origin,
    stage: str,
    output: Path | None,
    training: bool,
    build: Build,
    passes: str | None,
    explain_passes: bool,
    verify: bool,
) -> None:
    """Compile a network, or print any stage on the way.

    Everything printed is deterministic: the same file and options give the same bytes.
    """
    if stage in BINARY and output is None:
        raise UserError.of(Code.BAD_OPTION, f"`{stage}` is binary", help="write it to a file with `-o PATH`")
    chosen = None if passes is None else [name.strip() for name in passes.split(",") if passes != "none"]
    build = replace(build, passes=chosen, training=training, verify=verify)
    result = emit(network, build, stage)
    if explain_passes and result.passes is not None and result.passes.passes:
        from netdsl.passes import explain

        print(explain(result.passes), end="", file=sys.stderr)
    write_output(output, result.content)
