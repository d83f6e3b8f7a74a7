"""Vector code of scalar expressions, and the epilogues made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netdsl.ir.scalar import Binary, Const, Expr, Select, Unary, Var, evaluate
from netdsl.plan.plan import Step, View
from netdsl_llvm.emit import Index, Kernel, Value
from netdsl_llvm.kernels.access import Access, broadcast_access
from netdsl_llvm.vmath import UNARY

_RELATIONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "=="}


def emit_expression(k: Kernel, expr: Expr, operands: Mapping[int, Value]) -> Value:
    """The value of an expression whose variables are these vectors; common parts are computed once."""
    like = next(iter(operands.values()))
    return _emit(k, expr, operands, like, {})


def _emit(k: Kernel, expr: Expr, operands: Mapping[int, Value], like: Value, done: dict[Expr, Value]) -> Value:
    if expr not in done:
        done[expr] = _emit_new(k, expr, operands, like, done)
    return done[expr]


def _emit_new(k: Kernel, expr: Expr, operands: Mapping[int, Value], like: Value, done: dict[Expr, Value]) -> Value:
    def sub(e: Expr) -> Value:
        return _emit(k, e, operands, like, done)

    match expr:
        case Var(index=index):
            return operands[index]
        case Const(value=value):
            return k.like(like, value)
        case Unary(op=op, x=x):
            return UNARY[op](k, sub(x))
        case Binary(op="add", x=Binary(op="mul", x=a, y=b), y=c) | Binary(op="add", x=c, y=Binary(op="mul", x=a, y=b)):
            return k.fma(sub(a), sub(b), sub(c))
        case Binary(op=("max" | "min") as op, x=x, y=y):
            return _extreme(k, op, x, y, sub(x), sub(y))
        case Binary(op="sub", x=c, y=Binary(op="mul", x=a, y=b)):
            return k.fma(k.b.fneg(sub(a)), sub(b), sub(c))
        case Binary(op=op, x=x, y=y):
            arithmetic = {"add": k.b.fadd, "sub": k.b.fsub, "mul": k.b.fmul, "div": k.b.fdiv}
            return arithmetic[op](sub(x), sub(y))
        case Select(compare=compare, a=a, b=b, x=x, y=y):
            return k.b.select(k.b.fcmp_ordered(_RELATIONS[compare], sub(a), sub(b)), sub(x), sub(y))
    raise TypeError(f"not an expression: {expr!r}")


def _extreme(k: Kernel, op: str, x: Expr, y: Expr, a: Value, b: Value) -> Value:
    """max or min that keeps NaN; against a constant the comparison alone does, if the constant is what it picks."""
    relation = ">" if op == "max" else "<"
    if isinstance(x, Const):
        x, y, a, b = y, x, b, a
    if isinstance(y, Const):
        return k.b.select(k.b.fcmp_ordered(relation, b, a), b, a)
    chosen = k.b.select(k.b.fcmp_ordered(relation, a, b), a, b)
    return k.b.select(k.b.fcmp_unordered("uno", a, a), a, chosen)


def keeps_zero(expr: Expr, splats: Sequence[bool]) -> bool:
    """Whether the expression is 0 where its operands are: then pad channels stay zero by themselves.

    Operands marked in `splats` have the same value in all lanes, so any value there.
    """
    zeros = [np.full((), 1.5 if splat else 0.0, np.float32) for splat in splats] or [np.zeros((), np.float32)]
    value = evaluate(expr, zeros)
    return bool(value == 0) and not bool(np.signbit(value))


def digest(text: object) -> str:
    """A short name for the part of a kernel's key that may be long."""
    return hashlib.sha256(str(text).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Epilogue:
    """A step's epilogue as kernels use it: pass `pointers` to the kernel, put `key` into its key, call `apply`.

    Without an epilogue it does nothing but zero the pad channels where the kernel's own result may not be zero there.
    """

    expr: Expr | None
    pointers: dict[str, View]
    accesses: tuple[Access, ...]
    channels: int
    masks: bool

    @staticmethod
    def of(step: Step, lanes: int, *, zero_padded: bool = True) -> Epilogue:
        """`zero_padded`: the kernel's own result is zero in the channels beyond the last."""
        result = step.output_types[0]
        first = len(step.inputs) - step.epilogue_inputs
        views, kinds = step.inputs[first:], step.input_types[first:]
        accesses = tuple(broadcast_access(v, t, result, lanes) for v, t in zip(views, kinds, strict=True))
        channels = result.shape[0] if result.shape else 1
        splats = [False, *(access.splat for access in accesses)]
        plain = zero_padded and (step.epilogue is None or keeps_zero(step.epilogue, splats))
        masks = channels % lanes != 0 and not plain
        pointers = {f"e{index}": view for index, view in enumerate(views)}
        return Epilogue(step.epilogue, pointers, accesses, channels, masks)

    @property
    def key(self) -> str:
        """All that the code depends on."""
        return (
            ""
            if self.expr is None and not self.masks
            else digest((self.expr, self.accesses, self.channels, self.masks))
        )

    def apply(self, k: Kernel, value: Value, n: Index, cb: Index, h: Index, w: Index) -> Value:
        """What is stored at sample n, channel block cb, row h, column w when the kernel's own result is `value`."""
        operands = [
            access.load(k, k.arg(f"e{index}"), access.offset(k, n, cb, h, w))
            for index, access in enumerate(self.accesses)
        ]
        return self.combine(k, value, operands, cb)

    def combine(self, k: Kernel, value: Value, operands: Sequence[Value], cb: Index) -> Value:
        """As `apply`, with the operands' lanes given."""
        if self.expr is not None:
            value = emit_expression(k, self.expr, dict(enumerate([value, *operands])))
        if self.masks:
            value = k.keep_lanes(value, k.sub(self.channels, k.mul(cb, k.lanes)))
        return value
