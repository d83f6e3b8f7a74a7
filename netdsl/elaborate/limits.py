"""How large an untrusted file may make a network, and how long that may take."""

from __future__ import annotations

from dataclasses import dataclass

MAX_NODES = 40_000
MAX_STEPS = 250_000
"""These two keep every `check` below 2 seconds; a network of 10,000 layers stays well inside. They hold for all nets
of a file together where they are built together."""
ITEMS_A_STEP = 8
"""A list of as many items is another step each time an expression gives it."""
STEPS_A_NET = 64
"""What every net takes, however small."""
MAX_ERRORS = 200
"""Found in one file, repetitions in a loop included; then elaboration stops and tells them."""
MAX_NESTING = 200
"""Expressions and blocks inside one another, while elaborating."""
MAX_LIST = 10_000
MAX_NUMBER = 2**53
MAX_EXPONENT = 64
MAX_ELEMENTS = 2**31 - 1
"""Elements of one tensor, of one sample."""
MAX_AXES = 8
"""Of one tensor, the batch not counted."""
MAX_FILES = 64
"""Files that one file may bring in by ``use``, itself included."""


@dataclass(slots=True)
class Spent:
    """What the elaborations of one file took of its limits so far."""

    steps: int = 0
    nodes: int = 0
    errors: int = 0
