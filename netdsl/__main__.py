"""``python -m netdsl``."""

from __future__ import annotations

from netdsl.cli.main import main

if __name__ == "__main__":
    main()
