"""What a step of a plan has to do, to be held against a roof as ``netdsl report`` holds layers."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.analysis.roofline import ELEMENT_BYTES, Work
from netdsl.ir.types import TensorType
from netdsl.ops.base import Call, all_ops, get
from netdsl.ops.pointwise import flops_of
from netdsl.plan.plan import Step


def work_of(step: Step, batch: int) -> Work:
    """One step of a batch: operations as the op defines its result, whatever way the kernel takes; every operand read
    and every result written once. Moving data between layouts is no arithmetic."""
    main = len(step.input_types) - step.epilogue_inputs
    kinds, fused = step.input_types[:main], step.input_types[main:]
    if step.op not in all_ops():
        return Work(0, 0, _bytes(kinds, batch), _bytes(step.output_types, batch))
    call, op = Call(step.attrs, kinds, step.output_types), get(step.op)
    cost, traffic = op.cost(call), op.traffic(call)
    flops = cost.flops + (flops_of(step.epilogue, [step.output_types[0], *fused]) if step.epilogue else 0)
    samples = batch if any(kind.batched for kind in (*kinds, *step.output_types)) else 1
    return Work(
        cost.macs * samples,
        flops * samples,
        _bytes(kinds, batch, traffic.reads) + _bytes(fused, batch),
        _bytes(step.output_types, batch, traffic.writes),
    )


def _bytes(kinds: Sequence[TensorType], batch: int, elements: Sequence[int] | None = None) -> int:
    """Of values of these types, of each so many elements a sample, or all."""
    counts = elements or [kind.elements for kind in kinds]
    return ELEMENT_BYTES * sum(
        count * (batch if kind.batched else 1) for kind, count in zip(kinds, counts, strict=True)
    )
