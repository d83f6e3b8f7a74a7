"""The curve picture of a training: losses on the left, the metric on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.report.figure.svg import svg
from netdsl.train.chart import Panel, Series, draw_panels
from netdsl.train.chart_figure import chart_figure

_TRAIN, _STEP, _TEST = "#0969da", "#a8c7ee", "#bc4c00"
_MAX_STEP_POINTS = 600


def training_curves(records: Sequence[dict[str, Any]], metric: str | None, percent: bool) -> tuple[bytes, bytes]:
    """A PNG and an SVG picture of the lines of a `metrics.jsonl`; ``metric`` names the one to show beside the losses,
    ``percent`` says whether it is a share of 1."""
    panels = _panels(records, metric, percent)
    return draw_panels(panels), svg(chart_figure(panels, "Losses and metric of a training")).encode()


def _panels(records: Sequence[dict[str, Any]], metric: str | None, percent: bool) -> list[Panel]:
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step"]
    stride = max(1, len(steps) // _MAX_STEP_POINTS)
    losses = [
        Series("one step", [(r["at"], r["loss"]) for r in steps[::stride]], _STEP, thin=True),
        Series("training", [(r["epoch"], r["loss"]) for r in epochs], _TRAIN),
        Series("test", [(r["epoch"], r["test"]["loss"]) for r in epochs], _TEST),
    ]
    panels = [Panel("Loss", "epochs", losses)]
    if metric is not None:
        points = [(r["epoch"], r["test"][metric]) for r in epochs]
        panels.append(Panel(f"{metric} on the test set", "epochs", [Series("test", points, _TEST)], percent=percent))
    return panels
