from __future__ import annotations

import math

import pytest

from netdsl.train.schedule import Constant, Cosine, Exponential, Horizon, MultiStep, OneCycle, Poly, Schedule, Step

HORIZON = Horizon(steps_per_epoch=10, epochs=10)


def factors(schedule: Schedule, horizon: Horizon = HORIZON) -> list[float]:
    return [schedule.factor(step, horizon) for step in range(horizon.steps)]


def test_constant() -> None:
    assert factors(Constant()) == [1.0] * 100
    assert factors(Constant(warmup=0.5))[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_step() -> None:
    values = factors(Step(every=3, gamma=0.5))
    assert [values[29], values[30], values[59], values[60], values[99]] == [1, 0.5, 0.5, 0.25, 0.125]
    assert factors(Step(every=3, gamma=0.5, warmup=1))[:2] == [0.1, 0.2]


def test_cosine() -> None:
    values = factors(Cosine())
    assert values[0] == 1 and values[50] == pytest.approx(0.5)
    assert values[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert values == sorted(values, reverse=True)
    warm = factors(Cosine(warmup=2, final=0.1))
    assert warm[:3] == pytest.approx([0.05, 0.1, 0.15]) and warm[19] == warm[20] == 1
    assert warm[60] == pytest.approx(0.55)
    assert Cosine(final=0.1).factor(100, HORIZON) == pytest.approx(0.1)


def test_one_cycle() -> None:
    values = factors(OneCycle())
    assert values[0] == pytest.approx(0.04) and values[29] == pytest.approx(1)
    assert values[99] == pytest.approx(4e-6)
    assert max(values) == values[29]
    assert values[:30] == sorted(values[:30]) and values[29:] == sorted(values[29:], reverse=True)


def test_one_cycle_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=100, cycle_momentum=False)
    for ours in factors(OneCycle()):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(ours, rel=1e-6, abs=1e-9)
        optimizer.step()
        if theirs.last_epoch < 99:
            theirs.step()


@pytest.mark.parametrize("kind", ["multistep", "exponential", "poly"])
def test_further_schedules_as_in_pytorch(kind: str) -> None:
    """Theirs changes with the epoch (a step here); ours is asked once an epoch, or once a step where it is smooth."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedulers = torch.optim.lr_scheduler
    ours, theirs = {
        "multistep": (MultiStep((2.0, 5.0), 0.5), schedulers.MultiStepLR(optimizer, [2, 5], 0.5)),
        "exponential": (Exponential(0.8), schedulers.ExponentialLR(optimizer, 0.8)),
        "poly": (Poly(0.9), schedulers.PolynomialLR(optimizer, HORIZON.epochs, 0.9)),
    }[kind]
    for epoch in range(HORIZON.epochs):
        assert ours.factor(10 * epoch, HORIZON) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        optimizer.step()
        theirs.step()


def test_smooth_schedules_between_epochs_and_with_warm_up() -> None:
    assert Exponential(0.25).factor(5, HORIZON) == pytest.approx(0.5)
    assert factors(MultiStep((1.5,), warmup=1))[:16:5] == pytest.approx([0.1, 0.6, 1, 0.1])
    warm = factors(Poly(2.0, 0.1, warmup=2))
    assert warm[19] == warm[20] == 1 and warm[60] == pytest.approx(0.1 + 0.9 * 0.25)
    assert warm[20:] == sorted(warm[20:], reverse=True)


def test_lengths_are_in_updates_where_several_steps_make_one() -> None:
    quarter = Horizon(10 / 4, 10)
    assert quarter.steps == 25 and Cosine().factor(10, quarter) == pytest.approx(factors(Cosine())[40])


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(3),
        Step(0.01),
        Cosine(5),
        OneCycle(0),
        OneCycle(1),
        MultiStep((0.0, 3.0)),
        Exponential(0.0),
        Poly(0.0, 0.5, 5),
    ],
)
def test_trainings_of_one_step_and_odd_settings(schedule: Schedule) -> None:
    for horizon in (Horizon(1, 1), Horizon(3, 2)):
        assert all(0 <= value <= 1 for value in factors(schedule, horizon))
