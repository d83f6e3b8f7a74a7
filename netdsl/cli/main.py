"""``netdsl``: finds the verb, runs it, and turns every way it can end into an exit code.

    0 done   1 the model or data has errors   2 wrong usage   3 no such device here   4 a limit was reached
    5 a computation left the finite numbers   70 a bug in netdsl   130 interrupted

A verb is a module of this package with a click command named ``command``; it is imported when it is used.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from netdsl.cli.common import Session
from netdsl.diagnostics import suggest

VERBS = {
    "check": "Find every error and warning in .net files.",
    "fmt": "Bring .net files into the common style.",
    "report": "Show shapes, parameters, work, receptive fields and memory.",
    "draw": "Draw the figure of a network's architecture.",
    "compare": "Put networks side by side: parameters, work, memory, receptive fields.",
    "diff": "Show what changed between two networks, layer by layer.",
    "compile": "Compile a network, or print any stage on the way.",
    "bench": "Measure each layer's time against what the machine can do at most.",
    "convert": "Turn a classifier into a network that looks everywhere on larger images.",
    "data": "Show what is in a data set.",
    "train": "Train a network as its `train` block says.",
    "replay": "Run the step again at which a training left the finite numbers.",
    "lr-find": "Find a learning rate to begin with.",
    "eval": "Measure a trained network on a data set.",
    "features": "Write what a layer gives for each sample of a data set.",
    "filters": "Draw the filters of a trained network's first layer, or of any convolution.",
    "predict": "Name what pictures show.",
    "ops": "Print the manual of an op, or list all ops.",
    "explain": "Tell the long story of a diagnostic code.",
    "zoo": "List the networks that come with netdsl, or print one.",
    "demo": "Train LeNet-5 on handwritten digits and read some, in under a minute.",
    "lsp": "Serve editors: findings, shapes, manual and names of .net files.",
    "doctor": "Say what netdsl finds on this machine.",
}


class Verbs(click.Group):
    """A group whose commands are modules, imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        found = importlib.import_module(f"netdsl.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            close = suggest(name, VERBS)
            hint = f" Did you mean `{close}`?" if close else f" Verbs: {', '.join(VERBS)}."
            ctx.fail(f"There is no verb `{name}`.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=Verbs,
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`netdsl VERB -h` shows examples of a verb. Exit codes: 0 done, 1 model or data error, 2 wrong usage, "
    "3 no such device here, 4 limit reached, 5 numbers not finite, 70 bug in netdsl, 130 interrupted.",
)
@click.version_option(package_name="netdsl", message="netdsl %(version)s")
def cli() -> None:
    """A compiler for convolutional networks: from a .net file to its report, its training and its results.

    A FILE is a path, `FILE#Net` for one net of several, or `zoo:NAME` for a network that comes with netdsl.

    \b
    Examples:
      netdsl demo
      netdsl report zoo:resnet50
      netdsl train zoo:lenet5 --data digits
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Errors are printed, none is raised."""
    from netdsl.cli import ending

    session = Session(arguments=tuple(arguments))
    try:
        with cli.make_context("netdsl", list(arguments), obj=session) as context:
            cli.invoke(context)
        sys.stdout.flush()
        return 0
    except BaseException as error:
        if session.ranks is not None and session.ranks.count > 1:
            from netdsl.cli.joining import end_together

            return end_together(error, session)
        return ending.of(error, session)


def main() -> None:
    """Entry point of the ``netdsl`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character still gets the message
    gc.set_threshold(200_000, 20, 100)  # most verbs end before there is garbage; looking for it costs a tenth
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        from netdsl.cli.ending import silence_stdout

        silence_stdout()
    gc.freeze()  # all of it goes with the process: Python need not look through it for garbage first
    sys.exit(code)
