"""Text in columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence


def aligned(rows: Sequence[Sequence[str]], text_columns: int) -> Iterator[str]:
    """The lines of a table, the first row its head, with a rule under it.

    The first ``text_columns`` columns are set to the left, the others, numbers, to the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield line(rows[0], widths, text_columns)
    yield "  ".join("-" * width for width in widths)
    for row in rows[1:]:
        yield line(row, widths, text_columns)


def line(cells: Sequence[str], widths: Sequence[int], text_columns: int) -> str:
    padded = [
        cell.ljust(width) if position < text_columns else cell.rjust(width)
        for position, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def markdown(rows: Sequence[Sequence[str]], text_columns: int) -> str:
    """A Markdown table (GitHub's form), the first row its head; cells are plain text."""
    rule = ["---" if column < text_columns else "---:" for column in range(len(rows[0]))]
    head, *body = ([*map(escape, row)] for row in rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *body))


def escape(text: str) -> str:
    r"""Text that Markdown shows as it is: what could begin markup, or end a cell, gets a ``\`` before it."""
    return re.sub(r"([\\`*\[\]<>&|~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))


def size_text(count: int) -> str:
    """``1,048,576 bytes (1.0 MiB)``."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count:,} bytes ({count / size:.1f} {unit})"
    return f"{count:,} bytes"
