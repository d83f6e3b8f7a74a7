"""``netdsl replay``: the step again at which a training left the finite numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netdsl.cli.common import loaded, print_json, session_of
from netdsl.cli.options import DataChoice, build_options, json_option, origin_of
from netdsl.diagnostics import Code, UserError
from netdsl.driver import Build

if TYPE_CHECKING:
    from netdsl.train.run_directory import RunDirectory


@click.command(
    epilog="""\b
Examples:
  netdsl train zoo:lenet5 --data digits --nan-check
  netdsl replay runs/lenet5

\b
Network and data are looked for in the folder in which the training was started, which may have been moved as a whole.
The network's file is read anew: what was changed in its layers takes effect. Ends with 5 where the step is not finite
again, with 0 where it is.
"""
)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@build_options()
@json_option
@click.pass_context
def command(context: click.Context, run: Path, build: Build) -> None:
    """Run the step again at which `netdsl train --nan-check` ended: same weights, same samples, same bits."""
    from netdsl.train.run_directory import RunDirectory
    from netdsl.trainer import Trainer

    session = session_of(context)
    directory, here = RunDirectory.with_failure(run), Path.cwd()
    given, run = _given(directory, context), run.resolve()
    with chdir(directory.started_in()):
        with _told_where(here):
            model = loaded(session, origin_of(**{name: given[name] for name in ("file", "net", "settings", "size")}))
            data = DataChoice(given["name"], given["strict"]).open(session)
        trainer = Trainer(
            model,
            data,
            out=run,
            replay=True,
            nan_check=True,
            target=build.target,
            threads=build.threads,
            workers=1,
            rates=dict(given["rates"]),
            **{name: given[name] for name in ("seed", "epochs", "batch", "memory", "freeze")},
        )
        [loss] = trainer.rehearse(1).losses
    if session.json:
        print_json({"net": model.name, "run": str(directory.path), "loss": loss})
    else:
        print(f"the step is finite here: its loss is {loss:.6g}")


@contextmanager
def _told_where(started_from: Path) -> Iterator[None]:
    """Errors say in which folder names are looked up, where that is another than the user's."""
    try:
        yield
    except UserError as error:
        if Path.cwd() == started_from:
            raise
        note = f"looked for in `{Path.cwd()}`, where the training was started"
        raise type(error)([replace(item, notes=(*item.notes, note)) for item in error.diagnostics]) from error


def _given(run: RunDirectory, context: click.Context) -> dict[str, Any]:
    """The options of `netdsl train` that the run was made with. Raises UserError where its record holds none."""
    from netdsl.cli import train

    words = run.read_config().get("command")
    try:
        if not isinstance(words, list) or words[:1] != ["train"] or not all(isinstance(word, str) for word in words):
            raise click.UsageError("there is no command line of `netdsl train` in it")
        words = [word for word in words[1:] if word != "--json"]  # (that is for this command to say)
        with train.command.make_context("train", words, parent=context) as parsed:
            return parsed.params
    except click.ClickException as error:
        raise UserError.of(
            Code.CHECKPOINT, f"`{run.config}` does not say how the run was started", notes=(error.format_message(),)
        ) from error
