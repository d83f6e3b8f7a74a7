"""``netdsl replay``: the step again at which a training left the finite numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netdsl.cli.common import (
    json_option,
    origin_of,
    print_json,
    print_warnings,
    session_of,
    target_option,
    threads_option,
)
from netdsl.cli.training import opened

if TYPE_CHECKING:
    from netdsl.train.run_directory import RunDirectory


@click.command(
    epilog="""\b
Examples:
  netdsl train zoo:lenet5 --data digits --nan-check
  netdsl replay runs/lenet5

\b
To be run in the folder in which the training was started. The network's file is read anew: what was changed in its
layers takes effect. Ends with 5 where the step is not finite again, with 0 where it is.
"""
)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@target_option
@threads_option
@json_option
@click.pass_context
def command(context: click.Context, run: Path, target: str, threads: int | None) -> None:
    """Run the step again at which `netdsl train --nan-check` ended: same weights, same samples, same bits."""
    from netdsl import driver
    from netdsl.train.run_directory import RunDirectory
    from netdsl.trainer import Trainer

    session = session_of(context)
    given = _given(RunDirectory.with_failure(run), context)
    model = driver.load(origin_of(given["file"], given["net"], given["settings"], given["size"]))
    print_warnings(session, model.warnings)
    trainer = Trainer(
        model,
        opened(session, given["data_name"], given["strict_data"]),
        out=run,
        replay=True,
        nan_check=True,
        target=target,
        threads=threads,
        workers=1,
        rates=dict(given["rates"]),
        **{name: given[name] for name in ("seed", "epochs", "batch", "freeze")},
    )
    [loss] = trainer.rehearse(1).losses
    if session.json:
        print_json({"net": model.name, "run": str(run), "loss": loss})
    else:
        print(f"the step is finite here: its loss is {loss:.6g}")


def _given(run: RunDirectory, context: click.Context) -> dict[str, Any]:
    """The options of `netdsl train` that the run was made with. Raises UserError where its record holds none."""
    from netdsl.cli import train
    from netdsl.diagnostics import Code, UserError

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
