"""``netdsl report --peak``: what holds the memory peak."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from netdsl.cli.common import Session, has_color, print_json, width_of
from netdsl.driver import Build, peaks

if TYPE_CHECKING:
    from netdsl.elaborate import Model


def print_peaks(session: Session, model: Model, build: Build) -> None:
    """The lines of the file, the values alive, and the weights, of inference and of training."""
    from netdsl.report.peak import peaks_document, plain_peaks

    found = peaks(model, build)
    if session.json:
        print_json(peaks_document(found))
    else:
        sys.stdout.write(plain_peaks(found, has_color(sys.stdout), width_of(sys.stdout)))
