"""Integer arithmetic that is done while generating wherever its operands are known."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

Value = Any  # llvmlite has no type information
Index = Any  # int | i64 value

I64 = ir.IntType(64)


class IndexBuilder:
    """Arithmetic on indices, Python ints or i64 values, at the place of the llvmlite builder `b`."""

    b: Any

    def i(self, x: Index) -> Value:
        """An i64 value of an index."""
        return ir.Constant(I64, x) if isinstance(x, int) else x

    def add(self, *terms: Index) -> Index:
        known = sum(t for t in terms if isinstance(t, int))
        total: Index = None
        for t in terms:
            if not isinstance(t, int):
                total = t if total is None else self.b.add(total, t)
        if total is None:
            return known
        return total if known == 0 else self.b.add(total, self.i(known))

    def sub(self, x: Index, y: Index) -> Index:
        if isinstance(y, int):
            return self.add(x, -y)
        return self.b.sub(self.i(x), y)

    def mul(self, *factors: Index) -> Index:
        known, product = 1, None
        for t in factors:
            if isinstance(t, int):
                known *= t
            else:
                product = t if product is None else self.b.mul(product, t)
        if product is None or known == 0:
            return known
        return product if known == 1 else self.b.mul(product, self.i(known))

    def div(self, x: Index, y: Index) -> Index:
        """x // y, both non-negative."""
        if isinstance(x, int) and isinstance(y, int):
            return x // y
        return x if isinstance(y, int) and y == 1 else self.b.udiv(self.i(x), self.i(y))

    def rem(self, x: Index, y: Index) -> Index:
        """x % y, both non-negative."""
        if isinstance(x, int) and isinstance(y, int):
            return x % y
        return 0 if isinstance(y, int) and y == 1 else self.b.urem(self.i(x), self.i(y))

    def split(self, x: Index, *sizes: Index) -> list[Index]:
        """The mixed-radix digits of x, most significant (unbounded) first: split(x, H, W) is n, h, w."""
        digits: list[Index] = []
        for size in reversed(sizes):
            digits.append(self.rem(x, size))
            x = self.div(x, size)
        return [x, *reversed(digits)]

    def min(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return self.b.select(self.compare("<", x, y), self.i(x), self.i(y))

    def max(self, x: Index, y: Index) -> Index:
        if isinstance(x, int) and isinstance(y, int):
            return max(x, y)
        return self.b.select(self.compare(">", x, y), self.i(x), self.i(y))

    def compare(self, relation: str, x: Index, y: Index) -> Value:
        """A signed comparison, as an i1."""
        return self.b.icmp_signed(relation, self.i(x), self.i(y))

    def both(self, *conditions: Value) -> Value:
        """The conjunction of i1 values."""
        result = conditions[0]
        for condition in conditions[1:]:
            result = self.b.and_(result, condition)
        return result
