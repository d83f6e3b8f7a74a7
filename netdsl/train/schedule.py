"""Learning-rate schedules: the factor on the base learning rate, a step at a time.

Each is a pure function of the step, so a resumed training goes on exactly. Lengths are in epochs, and may
be fractions. ``warmup`` epochs at the start rise linearly: step s of W has factor (s + 1) / W (Goyal et al.,
"Accurate, large minibatch SGD", 2017), times the schedule's own factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Horizon:
    """How long the training is, in updates of the weights an epoch (a fraction where several steps make one) and in
    epochs."""

    steps_per_epoch: float
    epochs: int

    @property
    def steps(self) -> int:
        return round(self.steps_per_epoch * self.epochs)

    def steps_of(self, epochs: float) -> int:
        return round(epochs * self.steps_per_epoch)


class Schedule(Protocol):
    def factor(self, step: int, horizon: Horizon) -> float:
        """What to multiply the base learning rate by at ``step`` (from 0)."""
        ...


@dataclass(frozen=True)
class Constant:
    """1 throughout, after the warm-up."""

    warmup: float = 0.0

    def factor(self, step: int, horizon: Horizon) -> float:
        return _warmup(step, horizon.steps_of(self.warmup))


@dataclass(frozen=True)
class Step:
    """Multiplied by ``gamma`` after every ``every`` epochs."""

    every: float
    gamma: float = 0.1
    warmup: float = 0.0

    def factor(self, step: int, horizon: Horizon) -> float:
        drops = step // max(1, horizon.steps_of(self.every))
        return _warmup(step, horizon.steps_of(self.warmup)) * self.gamma**drops


@dataclass(frozen=True)
class MultiStep:
    """Multiplied by ``gamma`` after each of the epochs ``at``."""

    at: tuple[float, ...]
    gamma: float = 0.1
    warmup: float = 0.0

    def factor(self, step: int, horizon: Horizon) -> float:
        drops = sum(1 for epoch in self.at if step >= horizon.steps_of(epoch))
        return _warmup(step, horizon.steps_of(self.warmup)) * self.gamma**drops


@dataclass(frozen=True)
class Exponential:
    """``gamma`` to the power of the epochs that have passed, a fraction in the middle of one."""

    gamma: float
    warmup: float = 0.0

    def factor(self, step: int, horizon: Horizon) -> float:
        return float(_warmup(step, horizon.steps_of(self.warmup)) * self.gamma ** (step / horizon.steps_per_epoch))


@dataclass(frozen=True)
class Poly:
    """The share of steps that are left after the warm-up, to the power ``power``, from 1 down to ``final`` (as used by
    Chen et al., "DeepLab", 2018)."""

    power: float = 0.9
    final: float = 0.0
    warmup: float = 0.0

    def factor(self, step: int, horizon: Horizon) -> float:
        warm = horizon.steps_of(self.warmup)
        if step < warm:
            return _warmup(step, warm)
        left = max(0.0, 1.0 - (step - warm) / max(1, horizon.steps - warm))
        return float(self.final + (1.0 - self.final) * left**self.power)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to ``final`` over the steps that follow the warm-up; the step behind the last
    one would have ``final`` (Loshchilov, Hutter, "SGDR", 2017, without restarts)."""

    warmup: float = 0.0
    final: float = 0.0

    def factor(self, step: int, horizon: Horizon) -> float:
        warm = horizon.steps_of(self.warmup)
        if step < warm:
            return _warmup(step, warm)
        return _half_cosine(1.0, self.final, (step - warm) / max(1, horizon.steps - warm))


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine up from ``start`` to 1 over the first ``rise`` of all steps, half a cosine down to
    ``final`` at the last step (Smith, Topin, "Super-convergence", 2018)."""

    rise: float = 0.3
    start: float = 0.04
    final: float = 4e-6

    def factor(self, step: int, horizon: Horizon) -> float:
        last = max(1, horizon.steps - 1)
        peak = self.rise * horizon.steps - 1
        if step <= peak:
            return _half_cosine(self.start, 1.0, step / peak if peak > 0 else 1.0)
        return _half_cosine(1.0, self.final, (step - max(0.0, peak)) / max(1.0, last - max(0.0, peak)))


def _warmup(step: int, length: int) -> float:
    return 1.0 if step >= length else (step + 1) / length


def _half_cosine(start: float, end: float, share: float) -> float:
    """From ``start`` at share 0 to ``end`` at share 1, level at both."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
