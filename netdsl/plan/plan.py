"""The plan: kernels in order, with every operand's place in memory known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from enum import Enum
from itertools import groupby
from typing import Any

from netdsl.ir.scalar import Expr
from netdsl.ir.types import DType, TensorType
from netdsl.plan.layout import Layout
from netdsl.record import record
from netdsl.source import Span


class Region(Enum):
    """Memory a compiled function is handed: planned scratch, resident weights, and the caller's arrays."""

    ARENA = "arena"
    WEIGHTS = "weights"
    INPUT = "input"
    OUTPUT = "output"


@record
class View:
    """A value's place: ``offset`` elements into a region, to pixel (0, 0) of channel block 0 of sample 0.

    In the INPUT and OUTPUT regions ``offset`` is the number of the caller's array and the layout is that
    of plain row-major (N, C, H, W).
    """

    region: Region
    offset: int
    layout: Layout | None
    dtype: DType = DType.F32
    stride: int = 0
    """Elements from the place of a part of the batch to that of the next part, where each has its own."""


@record
class Step:
    """One kernel call. ``op`` is the node's op, or ``load_input``, ``store_output``, ``relayout``.

    ``inputs`` are the op's own operands followed by those of the epilogue (``epilogue_inputs`` of them).
    """

    op: str
    name: str
    attrs: dict[str, Any]
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    input_types: tuple[TensorType, ...]
    output_types: tuple[TensorType, ...]
    epilogue: Expr | None = None
    epilogue_inputs: int = 0
    scratch: View | None = None
    spans: frozenset[Span] = frozenset()
    joined: bool = False
    """May run in one with the step before it: alone reads its result, writes nothing that it reads."""
    times: int = 1
    """Parts of the batch that it runs for, one after the other; the layouts are those of a part."""


@record
class ResidentWeight:
    """One array of the WEIGHTS region: a parameter, or a value computed from parameters at load."""

    name: str
    offset: int
    layout: Layout
    type: TensorType
    trainable: bool = False


@record(frozen=False)
class Plan:
    """What a backend compiles. Sizes are in elements of 4 bytes; offsets are multiples of the alignment."""

    name: str
    target: str
    batch: int
    threads: int
    steps: list[Step] = field(default_factory=list)
    weights: list[ResidentWeight] = field(default_factory=list)
    inputs: list[tuple[str, TensorType]] = field(default_factory=list)
    outputs: list[tuple[str, TensorType]] = field(default_factory=list)
    arena_size: int = 0
    weights_size: int = 0

    def loops(self) -> Iterator[tuple[int, list[Step]]]:
        """The steps that run in turn for each part of the batch, with the number of parts."""
        for times, steps in groupby(self.steps, key=lambda step: step.times):
            yield times, list(steps)

    @property
    def arena_bytes(self) -> int:
        return 4 * self.arena_size

    @property
    def weights_bytes(self) -> int:
        return 4 * self.weights_size
