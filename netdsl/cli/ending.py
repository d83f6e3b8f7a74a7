"""What users see when a command does not end well: one place that maps failures to messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path

import click

from netdsl.cli.common import Session, print_diagnostics
from netdsl.diagnostics import Code, Diagnostic, InternalError, Label, Level, Unsupported, UserError

USAGE, LIMIT, BUG, INTERRUPTED = 2, 4, 70, 130


def of(error: BaseException, session: Session) -> int:
    """Tell the user about ``error``; returns the exit code."""
    try:
        return _tell(error, session)
    except BrokenPipeError:
        silence_stdout()
        return 0


def _tell(error: BaseException, session: Session) -> int:
    if isinstance(error.__cause__, KeyboardInterrupt):
        error = error.__cause__  # Python 3.11 wraps what comes while a class is being made into a RuntimeError
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        case click.Abort() | KeyboardInterrupt():
            print("\ninterrupted", file=sys.stderr)
            return INTERRUPTED
        case click.ClickException():
            error.show()
            return USAGE
        case BrokenPipeError():
            silence_stdout()
            return 0
    return _tell_failure(error, session)


def _tell_failure(error: BaseException, session: Session) -> int:
    match error:
        case UserError():
            print_diagnostics(session, error.diagnostics, error.facts())
            return error.exit_code
        case Unsupported():
            print_diagnostics(session, [_unsupported(error)])
            return 1
        case MemoryError():
            print_diagnostics(session, [_plain(Code.LIMIT_MEMORY, "there is not enough memory for this")])
            return LIMIT
        case OSError():
            print_diagnostics(session, [_plain(_code_of(error), _reason(error))])
            return 1
    return _tell_bug(error, session)


def _tell_bug(error: BaseException, session: Session) -> int:
    if os.environ.get("NETDSL_DEBUG") == "1":
        traceback.print_exception(error)
    stage = error.stage if isinstance(error, InternalError) else type(error).__name__
    path = error.dump_path if isinstance(error, InternalError) and error.dump_path else _dump(error, session)
    print(f"This is a bug in netdsl, not in your file ({stage}).", file=sys.stderr)
    if path is not None:
        print(f"Please report it and send {path}, which holds the details.", file=sys.stderr)
    print("NETDSL_DEBUG=1 shows the details here.", file=sys.stderr)
    return BUG


def _dump(error: BaseException, session: Session) -> Path | None:
    """What is needed to find a bug, in a new file of the system's folder for temporary files."""
    import platform
    from importlib.metadata import version

    facts = [
        f"netdsl {version('netdsl')}, Python {platform.python_version()}, {platform.platform()}",
        f"arguments: {list(session.arguments)}",
        "",
        *traceback.format_exception(error),
    ]
    try:
        import tempfile

        descriptor, name = tempfile.mkstemp(prefix="netdsl-bug-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write("\n".join(facts))
    except OSError:
        return None
    return Path(name)


def _unsupported(error: Unsupported) -> Diagnostic:
    labels = [Label(span) for span in sorted(error.spans, key=lambda span: (span.source.name, span.start))]
    title = f"`{error.op}` cannot run on {error.backend}"
    primary = labels[0] if labels else None
    return Diagnostic(Code.UNSUPPORTED, Level.ERROR, title, primary, tuple(labels[1:]), (error.reason,))


def _plain(code: Code, title: str) -> Diagnostic:
    return Diagnostic(code, Level.ERROR, title)


def _code_of(error: OSError) -> Code:
    if error.errno in (errno.ENOSPC, errno.EROFS, errno.EFBIG):
        return Code.FILE_NOT_WRITABLE
    return Code.FILE_NOT_FOUND if isinstance(error, FileNotFoundError) else Code.FILE_UNREADABLE


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"`{error.filename}`: {reason}" if error.filename else reason


def silence_stdout() -> None:
    """The reader of our output is gone (``| head``): what is left to write goes nowhere."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
    except (OSError, ValueError):
        return
