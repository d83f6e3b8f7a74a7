"""What all optimizers are: one step for one parameter, element by element.

An optimizer reads a weight, its gradient, what it remembers of earlier steps, and a few numbers; it gives the new
weight and the new memory. A subclass writes its step twice: as scalar expressions, from which backends make one pass
over the memory, and in NumPy, as the oracle that these are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from netdsl import numpy_on_use as np
from netdsl.ir.scalar import Expr, Var, select, variables
from netdsl.ir.types import TensorType
from netdsl.ops.base import Array, Attrs, Call, Cost, StepOp, all_ops

NUMBER = TensorType((), False)


class Optimizer(StepOp):
    """Base: (w, g, *states, lr, *numbers[, apply]) -> (w', *states').

    States start at zeros. Where ``apply`` is given and not greater than 0, every result is the old value: a step that
    only collects gradients.
    """

    flat: ClassVar[bool] = True

    def states(self, attrs: Attrs) -> tuple[str, ...]:
        """What is remembered of each weight, by name."""
        return ()

    def numbers(self, attrs: Attrs) -> Mapping[str, Expr]:
        """Further numbers by name, as expressions of x0, the number of this update from 1."""
        return {}

    def formula(self, attrs: Attrs, w: Expr, g: Expr, *others: Expr) -> tuple[Expr, ...]:
        """The new weight and states; ``others`` are the states, the learning rate and the numbers."""
        raise NotImplementedError(self.name)

    def updated(self, attrs: Attrs, w: Array, g: Array, *others: Array) -> tuple[Array, ...]:
        """The same with NumPy."""
        raise NotImplementedError(self.name)

    def expressions(self, attrs: Attrs, count: int) -> tuple[Expr, ...]:
        """The results over ``count`` operands."""
        places, plain = self._places(attrs)
        new = self.formula(attrs, *(Var(index) for index in range(plain)))
        if count == plain:
            return new
        return tuple(select("gt", Var(plain), 0.0, expr, Var(old)) for expr, old in zip(new, places, strict=True))

    def infer(self, attrs: Attrs, inputs: Sequence[TensorType]) -> tuple[TensorType, ...]:
        places, plain = self._places(attrs)
        weight = inputs[0]
        tensors = len(places) + 1
        assert not weight.batched and set(inputs[:tensors]) == {weight}, inputs
        assert len(inputs) in (plain, plain + 1) and set(inputs[tensors:]) == {NUMBER}, inputs
        return (weight,) * len(places)

    def cost(self, call: Call) -> Cost:
        # Each different operation that reads a weight, its gradient or its memory, once; decay and momentum of 0 are
        # multiplied with where the formula has them all the same.
        places, _ = self._places(call.attrs)
        tensors = frozenset(range(len(places) + 1))
        plain = self.expressions(call.attrs, self._places(call.attrs)[1])
        return Cost(flops=_operations(plain, tensors) * call.outputs[0].elements)

    def reference(self, call: Call, arrays: Sequence[Array]) -> list[Array]:
        places, plain = self._places(call.attrs)
        new = self.updated(call.attrs, *arrays[:plain])
        if len(arrays) > plain and not arrays[plain] > 0:
            new = tuple(arrays[place] for place in places)
        return [np.asarray(array, dtype=arrays[0].dtype) for array in new]

    def _places(self, attrs: Attrs) -> tuple[tuple[int, ...], int]:
        """Which operands the results replace, and how many operands there are without ``apply``."""
        states = len(self.states(attrs))
        return (0, *range(2, 2 + states)), 3 + states + len(self.numbers(attrs))


@cache
def _operations(exprs: tuple[Expr, ...], tensors: frozenset[int]) -> int:
    found: set[Expr] = set()
    waiting: list[Expr] = list(exprs)
    while waiting:
        expr = waiting.pop()
        if expr.children and expr not in found:
            found.add(expr)
            waiting.extend(expr.children)
    return sum(1 for expr in found if variables(expr) & tensors)


def find_optimizer(name: str) -> Optimizer:
    """The optimizer of this name."""
    op: Any = all_ops()[name]
    assert isinstance(op, Optimizer), name
    return op
