"""How large an untrusted file may make a network, and how long that may take."""

from __future__ import annotations

MAX_NODES = 40_000
MAX_STEPS = 250_000
"""These two keep every `check` below 2 seconds; a network of 10,000 layers stays well inside."""
MAX_ERRORS = 500
"""Found in one net, repetitions in a loop included; then elaboration stops and tells them."""
MAX_NESTING = 200
"""Expressions and blocks inside one another, while elaborating."""
MAX_LIST = 10_000
MAX_NUMBER = 2**53
MAX_EXPONENT = 64
MAX_ELEMENTS = 2**31 - 1
"""Elements of one tensor, of one sample."""
MAX_FILES = 64
"""Files that one file may bring in by ``use``, itself included."""
