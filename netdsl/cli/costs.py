"""``netdsl report --cost``, ``--markdown`` and ``--csv``: the layers as other tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from netdsl.cli.common import Session, print_json
from netdsl.cli.options import gathered
from netdsl.record import record

if TYPE_CHECKING:
    from netdsl.driver import Build
    from netdsl.elaborate import Model
    from netdsl.report.model import Report


@record
class Tables:
    """Which tables are wanted."""

    cost: bool
    machine: str | None
    markdown: bool
    comma: bool

    @property
    def wanted(self) -> bool:
        return self.cost or self.markdown or self.comma

    def check(self, session: Session, other: str | None) -> None:
        """Raise UsageError for options that do not go together; ``other`` is another question on the command line."""
        given = {"--json": session.json, "--markdown": self.markdown, "--csv": self.comma}
        forms = [name for name, chosen in given.items() if chosen]
        if len(forms) > 1:
            raise click.UsageError(f"{' and '.join(forms)} are different forms of one answer; choose one.")
        if self.machine is not None and not self.cost:
            raise click.UsageError("--machine belongs to --cost.")
        if other and self.wanted:
            asked = "--cost" if self.cost else forms[0]
            raise click.UsageError(f"{other} and {asked} are two questions; ask one.")


table_options = gathered(
    "tables",
    Tables,
    {
        "cost": click.option(
            "--cost",
            is_flag=True,
            help="Show work and memory traffic of a batch: operations, bytes, operations a byte, times.",
        ),
        "machine": click.option(
            "--machine",
            metavar="FILE|measured",
            help="With --cost: whose times to estimate; `measured`: this one, as `netdsl doctor --measure` found it.",
        ),
        "markdown": click.option("--markdown", is_flag=True, help="Print the layers as a Markdown table."),
        "comma": click.option("--csv", "comma", is_flag=True, help="Print comma-separated values, a line a layer."),
    },
)
"""``tables``, a `Tables`."""


def print_tables(session: Session, tables: Tables, model: Model, report: Report, build: Build) -> None:
    """The report in the form that was asked for. Raises UserError for a machine that is missing or wrong."""
    from netdsl.driver import cost as count

    found = count(model, build, tables.machine) if tables.cost else None
    if session.json:
        from netdsl.report.cost_document import document_with_cost

        assert found is not None
        print_json(document_with_cost(report, found))
        return
    if tables.markdown or tables.comma:
        from netdsl.report.tables import csv_table, markdown_table

        sys.stdout.write((csv_table if tables.comma else markdown_table)(report, found))
        return
    from shutil import get_terminal_size

    from netdsl.report.cost_text import cost_text

    assert found is not None
    sys.stdout.write(cost_text(report, found, get_terminal_size().columns if sys.stdout.isatty() else None))
