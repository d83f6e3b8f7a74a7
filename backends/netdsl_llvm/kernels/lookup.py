"""Small constant tables that kernels look things up in, kept in the module beside the code."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from netdsl_llvm.emit import FLOAT, I32, I64, Index, Kernel, Value
from netdsl_llvm.kernels.expression import digest


class IndexTable:
    """Integers by index; evenly spaced ones are computed."""

    def __init__(self, k: Kernel, values: Sequence[int]) -> None:
        self.k, self.values = k, tuple(values)
        steps = {b - a for a, b in zip(self.values, self.values[1:], strict=False)}
        self._step = steps.pop() if len(steps) == 1 else 0 if not steps else None
        self._global = None if self._step is not None else _constant(k, I32, self.values)

    def at(self, index: Index) -> Index:
        if isinstance(index, int):
            return self.values[index]
        if self._step is not None:
            return self.k.add(self.k.mul(index, self._step), self.values[0])
        place = self.k.b.gep(self._global, [self.k.i(index)], inbounds=True, source_etype=I32)
        return self.k.b.sext(self.k.b.load(place, typ=I32, align=4), I64)


class FloatTable:
    """Numbers by index."""

    def __init__(self, k: Kernel, values: Sequence[float]) -> None:
        self.k, self.values = k, tuple(values)
        self._global = None if len(set(self.values)) == 1 else _constant(k, FLOAT, self.values)

    def at(self, index: Index) -> Value:
        if self._global is None:
            return self.k.f(self.values[0])
        if isinstance(index, int):
            return self.k.f(self.values[index])
        return self.k.load_float(self._global, index)


def _constant(k: Kernel, element: ir.Type, values: Sequence[float]) -> Value:
    """The module's constant array of these values."""
    name = f"table_{digest((str(element), tuple(values)))}"
    found = k.module.ir.globals.get(name)
    if found is None:
        kind = ir.ArrayType(element, len(values))
        found = ir.GlobalVariable(k.module.ir, kind, name)
        found.linkage, found.global_constant = "internal", True
        found.initializer = ir.Constant(kind, list(values))
    return found
