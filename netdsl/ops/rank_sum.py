"""Sums over the processes that take a training step together (ranks): two ops, so that work fits in between.

`rank_sum_begin` hands a value over, `rank_sum_end` waits until it is the sum over all ranks; both have the number of
the sum. Where nobody is asked to add anything up there is one rank, and both are the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from netdsl.ir.types import TensorType
from netdsl.ops.base import Arg, Array, Attrs, Call, Cost, Kind, StepOp, Traffic, register

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Value


class RankSum(StepOp):
    """Base: one unbatched operand whose memory the result takes over."""

    args: ClassVar[tuple[Arg, ...]] = (Arg("number", Kind.INT, minimum=0, doc="tells the sums of a step apart"),)
    flat: ClassVar[bool] = True

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        assert not inputs[0].batched, inputs
        return (inputs[0],)

    def cost(self, call: Call) -> Cost:
        return Cost()

    def traffic(self, call: Call) -> Traffic:
        return Traffic((0,), (0,))

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [arrays[0]]


def summed(builder: GraphBuilder, value: Value) -> Value:
    """The sum of a value over all ranks, waited for at once."""
    begun = begin(builder, value)
    return end(builder, begun)


def begin(builder: GraphBuilder, value: Value) -> Value:
    """Hand a value over under the next number of the step."""
    number = sum(node.op == "rank_sum_begin" for node in builder.graph.nodes)
    return builder.op("rank_sum_begin", [value], {"number": number}, name=f"{value.name}.part").output


def end(builder: GraphBuilder, begun: Value) -> Value:
    """The sum of what was handed over."""
    name = begun.name.removesuffix(".part")
    return builder.op("rank_sum_end", [begun], {"number": begun.node.attrs["number"]}, name=f"{name}.sum").output


@register
class RankSumBegin(RankSum):
    """``x`` as it is given to be added up; its memory belongs to who adds until `rank_sum_end`."""

    name: ClassVar[str] = "rank_sum_begin"


@register
class RankSumEnd(RankSum):
    """The sum over all ranks of what a `rank_sum_begin` gave, in their order."""

    name: ClassVar[str] = "rank_sum_end"
    late: ClassVar[bool] = True
