"""``netdsl report --html``: the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from netdsl.cli.common import write_output
from netdsl.driver import Build, peaks
from netdsl.elaborate import Model
from netdsl.report.model import Report


def write_page(path: Path, model: Model, report: Report, build: Build) -> None:
    """The report as a page, with everything that ``check`` warns of and what holds the memory peaks."""
    from netdsl.report.findings import warnings_of
    from netdsl.report.html.page import html_page

    judged = replace(report, warnings=warnings_of(model))
    write_output(path, html_page(model.graph, judged, peaks(model, build)))
