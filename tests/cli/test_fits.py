"""``netdsl report --fits``: the largest batch, against the plans around it."""

from __future__ import annotations

import pytest

from netdsl.driver import Build, Origin, find_device, load, make_plan, optimize, training_step
from tests.cli.conftest import Netdsl


@pytest.mark.parametrize("training", [False, True])
def test_the_next_batch_does_not_fit(netdsl: Netdsl, training: bool) -> None:
    options = ["--training"] if training else []
    found = netdsl("report", "zoo:lenet5", "--fits", "4MiB", "--threads", 2, "--json", *options).json["fits"]
    model = load(Origin("zoo:lenet5"))
    graph, _ = optimize(training_step(model) if training else model.graph, Build())

    def needed(batch: int) -> int:
        plan = make_plan(graph, find_device(Build()), Build(batch=batch, threads=2))
        return plan.arena_bytes + plan.weights_bytes

    assert found["bytes"] == 4 * 2**20 and found["batch"] > 1
    assert needed(found["batch"]) <= 4 * 2**20 < needed(found["batch"] + 1)


def test_too_little(netdsl: Netdsl) -> None:
    ended = netdsl("report", "zoo:lenet5", "--fits", "1KiB")
    assert ended.code == 0 and "does not fit 1,024 bytes, not even at batch 1" in ended.out


def test_wrong_use(netdsl: Netdsl) -> None:
    assert netdsl("report", "zoo:lenet5", "--fits", "much").code == 2
    assert netdsl("report", "zoo:lenet5", "--training").code == 2
