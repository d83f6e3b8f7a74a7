"""The common half of all elementwise ops: one scalar expression, and everything that follows from it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from netdsl import numpy_on_use as np
from netdsl.diagnostics import Code
from netdsl.ir.scalar import (
    Const,
    Expr,
    Select,
    Unary,
    Var,
    differentiate,
    evaluate,
    operations,
    simplify,
    substitute,
    variables,
    with_operands,
)
from netdsl.ir.types import DType, TensorType
from netdsl.ops.base import Array, Attrs, Call, Cost, OpDef, ShapeError

if TYPE_CHECKING:
    from netdsl.ir.builder import GraphBuilder
    from netdsl.ir.graph import Node, Value

AXES = ("channels", "height", "width")


class Pointwise(OpDef):
    """Base: a subclass gives ``expr``; types, cost, reference and gradient follow.

    Operands broadcast: shapes are aligned at their first axis (channels) and filled up with ones behind,
    then each axis is equal or 1. A batched operand makes the result batched.
    """

    def expr(self, attrs: Attrs, count: int) -> Expr:
        """The op over ``count`` operands."""
        raise NotImplementedError(self.name)

    def derivative(self, expr: Expr, operand: int, output: Expr) -> Expr:
        """Partial derivative; ``output`` stands for the op's own result where that saves computing it again."""
        return reuse_output(differentiate(expr, operand), expr, output)

    def scalar(self, call: Call) -> Expr:
        return self.expr(call.attrs, len(call.inputs))

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return (broadcast_type(self.name, inputs),)

    def cost(self, call: Call) -> Cost:
        """Every operation of the expression once an element of what it reads: what reads only a parameter of ``[C]``
        is done C times."""
        return Cost(flops=flops_of(self.scalar(call), call.inputs))

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        return [evaluate_aligned(self.scalar(call), arrays, call.inputs, call.outputs[0])]

    def gradient(self, builder: GraphBuilder, node: Node, grads: Sequence[Value | None]) -> Sequence[Value | None]:
        incoming = grads[0]
        if incoming is None:
            return [None] * len(node.inputs)
        count = len(node.inputs)
        expr = self.expr(node.attrs, count)
        results: list[Value | None] = []
        for operand, value in enumerate(node.inputs):
            local: Expr = Const(0.0)
            if value.type.dtype is DType.F32:
                local = self.derivative(expr, operand, Var(count))
            results.append(_chain(builder, local, [*node.inputs, node.output, incoming], value.type))
        return results


def reuse_output(derivative: Expr, expr: Expr, output: Expr) -> Expr:
    """The derivative with each occurrence of the forward expression replaced by ``output``."""
    if not expr.children:
        return derivative
    return substitute(derivative, {expr: output, simplify(expr): output})


def times(factor: Expr, x: Expr) -> Expr:
    """``factor * x``, taken into the branches of a select: 0 there stays 0 whatever x is."""
    if isinstance(factor, Select):
        return Select(factor.compare, factor.a, factor.b, times(factor.x, x), times(factor.y, x))
    if isinstance(factor, Unary) and factor.op == "neg":
        return simplify(-times(factor.x, x))
    if factor == Const(-1.0):
        return -x
    return simplify(factor * x)


def _chain(builder: GraphBuilder, local: Expr, values: Sequence[Value], target: TensorType) -> Value | None:
    """``local`` times the incoming gradient (the last of ``values``), summed down to the operand's type."""
    if local == Const(0.0):
        return None
    expr = times(local, Var(len(values) - 1))
    return sum_to(builder, apply_map(builder, expr, values), target)


def apply_map(builder: GraphBuilder, expr: Expr, values: Sequence[Value]) -> Value:
    """``expr`` over those of ``values`` that it reads, as a ``map`` node; no node where it is just one of them."""
    if isinstance(expr, Var):
        return values[expr.index]
    used = sorted(variables(expr))
    if len(used) < len(values):
        expr = with_operands(expr, [Var(bisect_left(used, number)) for number in range(len(values))])
    return builder.op("map", [values[index] for index in used], {"expr": expr}).output


def sum_to(builder: GraphBuilder, value: Value, target: TensorType) -> Value:
    """The adjoint of broadcasting ``target`` to the type of ``value``."""
    if value.type == target:
        return value
    return builder.op("sum_to", [value], {"shape": target.shape, "batched": target.batched}).output


def flops_of(expr: Expr, inputs: Sequence[TensorType]) -> int:
    """Floating-point operations of ``expr`` over broadcast operands, each different one done once an element."""
    return sum(
        count * math.prod(_broadcast_shape([inputs[index] for index in sorted(operands)]))
        for operands, count in operations(expr).items()
    )


def _broadcast_shape(inputs: Sequence[TensorType]) -> list[int]:
    """The largest size of each axis; shapes are aligned at the first one."""
    if len(inputs) == 1:
        return list(inputs[0].shape)
    return [max(sizes) for sizes in zip_longest(*(type.shape for type in inputs), fillvalue=1)]


# --- types and arrays -----------------------------------------------------------------------


def broadcast_type(op: str, inputs: Sequence[TensorType]) -> TensorType:
    """The common type of broadcast operands. Raises ShapeError where an axis differs and neither is 1."""
    for operand, type in enumerate(inputs):
        require_numbers(op, type, operand)
    if all(type == inputs[0] for type in inputs):
        return inputs[0]
    rank = max(len(type.shape) for type in inputs)
    padded = [type.shape + (1,) * (rank - len(type.shape)) for type in inputs]
    axes = [sorted({shape[axis] for shape in padded} - {1}) for axis in range(rank)]
    if any(len(sizes) > 1 for sizes in axes):
        raise mismatch(op, inputs, f"`{op}` needs shapes that broadcast", [len(sizes) > 1 for sizes in axes])
    shape = tuple(sizes[0] if sizes else 1 for sizes in axes)
    return TensorType(shape, any(type.batched for type in inputs))


def require_numbers(op: str, type: TensorType, operand: int) -> None:
    """Raise ShapeError for a tensor of class numbers where arithmetic is meant."""
    if type.dtype is not DType.F32:
        raise ShapeError(
            Code.WRONG_TYPE,
            f"`{op}` computes with numbers",
            label="needs a tensor of numbers",
            operand_notes={operand: "these are class numbers"},
        )


def require_axes(op: str, type: TensorType, operand: int, axes: str, help: str | None = None) -> None:
    """Raise ShapeError unless the operand is batched numbers with as many axes as ``axes``, such as ``[C, H, W]``."""
    require_numbers(op, type, operand)
    if not type.batched:
        raise ShapeError(Code.WRONG_TYPE, f"`{op}` works on activations, not on constants")
    if len(type.shape) != axes.count(",") + 1:
        needed = {1: "one axis", 3: "three axes"}[axes.count(",") + 1]
        raise ShapeError(
            Code.BAD_RANK,
            f"`{op}` works on {axes}",
            label=f"needs {needed}, found {len(type.shape)}",
            operand_notes={operand: f"{len(type.shape)} axes"},
            help=help,
        )


def require_channels(op: str, type: TensorType, operand: int = 0) -> None:
    """Raise ShapeError unless the operand is numbers with a channel axis."""
    require_numbers(op, type, operand)
    if not type.shape:
        raise ShapeError(
            Code.BAD_RANK,
            f"`{op}` works on channels",
            label="needs at least one axis",
            operand_notes={operand: "a single number"},
        )


def mismatch(op: str, inputs: Sequence[TensorType], title: str, differing: Sequence[bool]) -> ShapeError:
    """The error for operands whose marked axes do not meet, telling each axis by name."""
    parts = []
    for axis, differs in enumerate(differing):
        sizes = dict.fromkeys(type.shape[axis] for type in inputs if axis < len(type.shape))
        if differs:
            name = AXES[axis] if axis < len(AXES) else f"axis {axis}"
            parts.append(f"{name} {' ≠ '.join(map(str, sizes))}")
    return ShapeError(Code.SHAPE_MISMATCH, title, label=", ".join(parts))


def align(array: Array, type: TensorType, rank: int, batched: bool) -> Array:
    """View of ``array`` that broadcasts by NumPy's rule against a (batched) result of ``rank`` axes."""
    lead = array if type.batched or not batched else array[None]
    full = rank + (1 if batched else 0)
    return lead.reshape(lead.shape + (1,) * (full - lead.ndim))


def evaluate_aligned(expr: Expr, arrays: Sequence[Array], inputs: Sequence[TensorType], result: TensorType) -> Array:
    """``expr`` over operands broadcast to the type of the result."""
    rank = len(result.shape)
    aligned = [align(a, type, rank, result.batched) for a, type in zip(arrays, inputs, strict=True)]
    shape = np.broadcast_shapes(*(array.shape for array in aligned))
    return np.broadcast_to(evaluate(expr, aligned), shape).copy()
