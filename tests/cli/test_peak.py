"""``netdsl report --peak``: what is alive at the worst step of the plans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from netdsl.diagnostics import Unsupported
from netdsl.driver import Build, Origin, find_device, load, make_plan, optimize, peaks, training_step
from netdsl.ir.graph import Graph
from netdsl.plan.peak import Peak
from netdsl.plan.plan import Plan, Region, View
from netdsl.report.peak import peaks_document, peaks_of, plain_peaks
from tests.cli.conftest import Netdsl


def document(netdsl: Netdsl, *arguments: object) -> Any:
    return netdsl("report", *arguments, "--peak", "--json").json


@pytest.mark.parametrize("name", ["zoo:lenet5", "zoo:densenet121", "zoo:unet_bn"])
def test_everything_adds_up_to_what_report_says(netdsl: Netdsl, name: str) -> None:
    options = [name, "--batch", 2, "--threads", 2]
    memory = netdsl("report", *options, "--json").json["memory"]
    found = document(netdsl, *options)["peaks"]
    for kind in ("inference", "training"):
        peak = found[kind]
        sizes = [buffer["bytes"] for buffer in peak["buffers"]]
        assert sizes == sorted(sizes, reverse=True)
        assert sum(sizes) + peak["between_bytes"] == peak["bytes"] == memory[f"{kind}_peak_bytes"]
        assert 0 <= peak["between_bytes"] < peak["bytes"] / 4
        assert sum(line["bytes"] for line in peak["lines"]) <= sum(sizes)


def arena_views(plan: Plan, number: int) -> list[tuple[int, str]]:
    """(offset, name) of what a step reads and writes in the arena."""
    step = plan.steps[number]
    views: list[View] = [view for view in (*step.inputs, *step.outputs, step.scratch) if view is not None]
    return [(view.offset, step.name) for view in views if view.region is Region.ARENA]


@pytest.mark.parametrize("training", [False, True])
def test_the_step_is_one_of_the_plan(lenet: Path, training: bool) -> None:
    model = load(Origin(str(lenet)))
    build = Build(batch=8, threads=2)
    peak = peaks(model, build).planned[training].peak
    assert peak is not None
    graph, _ = optimize(training_step(model) if training else model.graph, build)
    plan = make_plan(graph, find_device(build), build)
    assert peak.steps == len(plan.steps) and plan.steps[peak.step].name == peak.name
    assert plan.arena_bytes == peak.bytes and plan.weights_bytes == peak.weights_bytes
    assert [weight.name for weight in peak.weights] == [weight.name for weight in plan.weights]
    written = {value.name for buffer in peak.buffers for value in buffer.values}
    assert peak.name in written
    before = {step.name for step in plan.steps[: peak.step + 1]}
    assert written <= before and len(arena_views(plan, peak.step)) <= len(peak.buffers) + 1


def test_the_lines(netdsl: Netdsl, lenet: Path) -> None:
    ended = netdsl("report", lenet, "--peak")
    assert ended.code == 0 and not ended.err
    assert re.search(r"inference peak at batch 1: [\d,]+ bytes \([\d.]+ KiB\)", ended.out)
    assert "training peak" in ended.out
    assert "5 │         -> conv(6, 5x5)  -> tanh -> avgpool(2)" in ended.out
    assert "weights, not in the peak: " in ended.out and "fc1.weight.momentum" in ended.out
    assert max(map(len, ended.out.splitlines())) < 160


def test_a_question_of_its_own(netdsl: Netdsl, lenet: Path) -> None:
    assert netdsl("report", lenet, "--peak", "--fits", "1GiB").code == 2
    assert netdsl("report", lenet, "--peak", "--receptive-field", "conv1").code == 2


def test_what_the_target_cannot_run_has_a_reason(lenet: Path) -> None:
    graph = load(Origin(str(lenet))).graph

    def refuse(_: Graph) -> Peak:
        raise Unsupported("conv", "toaster", "it has no screen")

    found = peaks_of(graph, None, "toaster", 1, refuse)
    reason = "`conv` on toaster: it has no screen"
    assert f"inference peak at batch 1: not planned: {reason}" in plain_peaks(found, False, 100)
    assert peaks_document(found)["peaks"]["training"] == {"bytes": None, "reason": reason}
