"""Working memory of kernels that sum over a whole batch; asked while planning, without a code generator."""

from __future__ import annotations

from netdsl.ir.types import TensorType
from netdsl.plan.layout import canonical

WORK_ITEMS = 32
"""Sums are cut into about this many parts: enough for many threads, and never dependent on how many there are."""

FLAT_PARTS = 64
"""Into how many parts the sum over a whole packed weight is cut."""


def most_chunks(rows: int, blocks: int) -> int:
    """Into how many chunks the rows of a channel block are cut at most."""
    return min(rows, -(-WORK_ITEMS // blocks))


def partial_sums(kind: TensorType, batch: int, lanes: int, count: int) -> int:
    """Elements that the partial sums of `count` terms over a value take at most."""
    channels, height, _ = canonical(kind.shape)
    blocks = -(-channels // lanes)
    rows = (batch if kind.batched else 1) * height
    return blocks * most_chunks(rows, blocks) * count * lanes
