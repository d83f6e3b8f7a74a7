"""Where the process begins: ``netdsl`` and ``python -m netdsl``."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """The command line, and an answer to Ctrl-C at the moments when it has none itself: its imports, its last words."""
    try:
        _open_closed_streams()
        from netdsl.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done and told; what is left is Python's own end


def _open_closed_streams() -> None:
    """Where a standard stream was closed by who started us, what is written to it goes nowhere.

    Otherwise the next file that is opened, such as a checkpoint, would get its number, and its text.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


if __name__ == "__main__":
    main()
