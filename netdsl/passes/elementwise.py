"""Reading elementwise nodes as scalar expressions, and putting one into another."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.ir.graph import SOURCES, Node, Value
from netdsl.ir.scalar import Expr, Var, with_operands
from netdsl.ops.base import OpDef, get
from netdsl.ops.pointwise import Pointwise
from netdsl.record import record


@record
class Scalar:
    """An expression; ``Var(i)`` is ``operands[i]``, and no operand appears twice."""

    expr: Expr
    operands: tuple[Value, ...]

    @staticmethod
    def of(expr: Expr, operands: Sequence[Value]) -> Scalar:
        unique = tuple(dict.fromkeys(operands))
        if len(unique) == len(operands):
            return Scalar(expr, unique)
        return Scalar(with_operands(expr, [Var(unique.index(value)) for value in operands]), unique)

    def inline(self, operand: Value, inner: Scalar) -> Scalar:
        """This expression with ``inner`` in the place of an operand; ``inner``'s operands come first."""
        others = [value for value in self.operands if value != operand]
        merged = tuple(dict.fromkeys((*inner.operands, *others)))
        index = {value: Var(position) for position, value in enumerate(merged)}
        inside = with_operands(inner.expr, [index[value] for value in inner.operands])
        places = [inside if value == operand else index[value] for value in self.operands]
        return Scalar(with_operands(self.expr, places), merged)


def scalar_of(node: Node, training: bool) -> Scalar | None:
    """What an elementwise node computes; None for all others.

    In a training graph also None for ops that have another form there (batch norm, dropout).
    """
    op = get(node.op) if node.op not in SOURCES else None
    if not isinstance(op, Pointwise) or node.epilogue or (training and changes_in_training(op)):
        return None
    return Scalar.of(op.expr(node.attrs, len(node.inputs)), node.inputs)


def changes_in_training(op: OpDef) -> bool:
    """Whether the op is not the same at inference and in training."""
    return type(op).training is not OpDef.training
