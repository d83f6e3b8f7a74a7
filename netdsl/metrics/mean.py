"""A mean over everything that was counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Mean:
    """Sums of numerators and of counts; the mean does not depend on how samples were cut into batches
    (up to the rounding of float64 sums)."""

    total: float = 0.0
    count: int = 0

    def add(self, total: float, count: int) -> None:
        self.total += total
        self.count += count

    @property
    def value(self) -> float:
        """0 / 0 has no value: raises ZeroDivisionError."""
        return self.total / self.count
