"""What a compiled plan and its caller agree on: the entry's name and the slots of its arguments."""

from __future__ import annotations

ENTRY = "netdsl_run"
ALONE = "netdsl_run_alone"
ARENA_SLOT, WEIGHTS_SLOT, BARRIER_SLOT, CLOCK_SLOT, FIRST_ARRAY_SLOT = 0, 1, 2, 3, 4
EXCHANGE = "netdsl_exchange"
"""The function that code for several ranks calls: `EXCHANGE(begins, number)`, see `rank_sums`."""
CACHE_LINE = 64
BARRIER_BYTES = 2 * CACHE_LINE
