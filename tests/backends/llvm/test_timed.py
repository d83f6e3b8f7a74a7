"""Code with a clock in it: the same results, and times of its steps that add up."""

from __future__ import annotations

import time

import numpy as np
import pytest

from netdsl.driver import Build, Origin, find_device, load, make_plan, optimize
from netdsl.weights.initialize import initial_parameters


@pytest.mark.parametrize("threads", [1, 2])
def test_times_of_the_steps(threads: int) -> None:
    build = Build(batch=3, threads=threads)
    device = find_device(build)
    graph, _ = optimize(load(Origin("zoo:lenet5")).graph, build)
    plan = make_plan(graph, device, build)
    parameters = initial_parameters(graph.params, 0)
    inputs = {"image": np.random.default_rng(0).normal(size=(3, 1, 32, 32)).astype(np.float32)}
    ordinary, timed = device.compile(graph, plan, parameters), device.profile(graph, plan, parameters)
    assert np.array_equal(timed.step(inputs)["probs"], ordinary.step(inputs)["probs"])
    start = time.perf_counter()
    timed.step(inputs)
    whole = time.perf_counter() - start
    seconds = timed.step_seconds()
    assert seconds.shape == (len(plan.steps),)
    assert (seconds >= 0).all() and 0 < seconds.sum() <= 2 * whole  # two clocks on a machine with other work
