"""Threads only where a run is long enough to share."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl import driver
from netdsl.driver import Build, Origin
from netdsl.plan.plan import Plan
from netdsl.weights.initialize import initial_parameters


def plan_of(name: str, batch: int) -> Plan:
    build = Build(batch=batch, threads=2)
    graph, _ = driver.optimize(driver.load(Origin(name)).graph, build)
    return driver.make_plan(graph, driver.find_device(build), build)


@pytest.mark.parametrize(
    ("name", "batch", "threads"),
    [("zoo:lenet5", 1, 1), ("zoo:lenet5", 16, 2), ("zoo:alexnet", 1, 2), ("zoo:resnet18", 1, 2)],
)
def test_threads(name: str, batch: int, threads: int) -> None:
    assert plan_of(name, batch).threads == threads


def test_the_same_bits() -> None:
    model = driver.load(Origin("zoo:lenet5"))
    parameters = initial_parameters(model.graph.params, seed=0)
    image = np.random.default_rng(0).standard_normal((1, 1, 32, 32)).astype(np.float32)
    results = [
        driver.make_executor(model.graph, parameters, Build(threads=threads)).step({"image": image})["probs"]
        for threads in (1, 2)
    ]
    assert np.array_equal(results[0], results[1])
