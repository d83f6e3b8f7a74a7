"""Where the process begins: ``netdsl`` and ``python -m netdsl``."""

from __future__ import annotations

import sys


def main() -> None:
    """The command line. Its imports take long enough to be interrupted, which is an end like any other."""
    try:
        from netdsl.cli.main import main as command_line
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
