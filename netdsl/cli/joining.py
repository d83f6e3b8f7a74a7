"""Verbs that `mpiexec` may run as several processes: one of them speaks, and none is left behind when one fails."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from netdsl.cli import ending
from netdsl.cli.common import Session

if TYPE_CHECKING:
    from netdsl.driver import Build
    from netdsl.train.ranks import Ranks

PATIENCE = 2.0
"""Seconds in which processes that meet the same error say so to each other."""


def joined(session: Session) -> Ranks:
    """The processes that run this command line together; from here on only the leading one is heard.

    Raises UserError where MPI is needed and cannot be used.
    """
    from netdsl.train.ranks import here

    session.ranks = here()
    if not session.ranks.leads:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (to the end of the process)
    return session.ranks


def with_threads(build: Build, ranks: Ranks) -> Build:
    """With this process's part of the cores, where no number of threads was asked for."""
    from netdsl.driver import usable_cores

    return build if build.threads is not None else replace(build, threads=ranks.threads(usable_cores()))


def started_by(session: Session) -> str:
    """What stands in front of a command line that goes on with this one."""
    count = session.ranks.count if session.ranks is not None else 1
    return f"mpiexec -n {count} " if count > 1 else ""


def end_together(error: BaseException, session: Session) -> int:
    """Tell of an error once, and end all processes; returns the exit code of this one.

    Mostly all meet the same error, a file that isn't there: then each ends by itself, and the leading one has told.
    Where only some do, the others wait for them in vain: whoever fails alone tells, and ends all.
    """
    from netdsl.train.ranks import Several

    ranks = session.ranks
    assert isinstance(ranks, Several)
    if isinstance(error, click.exceptions.Exit | SystemExit):  # decided together, as after Ctrl-C
        return ending.of(error, session)
    code = ending.of(error, session) if ranks.leads else 0
    together = _all_end(ranks)
    if not ranks.leads:
        if not together:
            sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
            print(f"process {ranks.number} of {ranks.count}:", file=sys.stderr)
        code = ending.of(error, session)
    if not together:
        sys.stdout.flush()
        sys.stderr.flush()
        ranks.world.Abort(code)
    return code


def _all_end(ranks: Ranks) -> bool:
    """Whether all processes come here within some time."""
    from netdsl.train.ranks import Several

    assert isinstance(ranks, Several)
    request, until = ranks.endings.Ibarrier(), time.monotonic() + PATIENCE
    while not request.Test():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
