"""Graph rewrites that leave a network's function unchanged."""

from __future__ import annotations

from netdsl.passes.base import Mode, Pass, PassReport, Refused, Rewritten
from netdsl.passes.explain import explain
from netdsl.passes.pipeline import DEFAULT, run_passes

__all__ = ["DEFAULT", "Mode", "Pass", "PassReport", "Refused", "Rewritten", "explain", "run_passes"]
