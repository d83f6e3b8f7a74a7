"""Small constant matrices times registers."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl_llvm.emit import Index, Kernel, Value

Row = Sequence[float]


def transformed_both_ways(k: Kernel, matrix: Sequence[Row], values: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """``matrix @ values @ matrix'`` over registers."""
    columns = [product(k, matrix, column) for column in zip(*values, strict=True)]
    return [product(k, matrix, row) for row in zip(*columns, strict=True)]


def product(k: Kernel, matrix: Sequence[Row], values: Sequence[Value]) -> list[Value]:
    """``matrix @ values``; two rows, or two columns, that differ in the signs of some terms only share their sums."""
    matrix, values = _with_paired_columns(k, matrix, values)
    found: dict[int, Value] = {}
    for i, row in enumerate(matrix):
        if i in found:
            continue
        twin = next((j for j in range(i + 1, len(matrix)) if j not in found and _are_twins(row, matrix[j])), None)
        if twin is None:
            found[i] = _dot(k, row, values)
            continue
        same = _dot(k, [a if a == b else 0.0 for a, b in zip(row, matrix[twin], strict=True)], values)
        opposite = _dot(k, [a if a != b else 0.0 for a, b in zip(row, matrix[twin], strict=True)], values)
        found[i], found[twin] = k.b.fadd(same, opposite), k.b.fsub(same, opposite)
    return [found[i] for i in range(len(matrix))]


def _with_paired_columns(
    k: Kernel, matrix: Sequence[Row], values: Sequence[Value]
) -> tuple[Sequence[Row], Sequence[Value]]:
    """The same product with the sum and the difference of two values in their places, where columns are twins."""
    columns, values = [list(column) for column in zip(*matrix, strict=True)], list(values)
    for i, first in enumerate(columns):
        j = next((j for j in range(i + 1, len(columns)) if _are_twins(first, columns[j])), None)
        if j is None:
            continue
        pairs = list(zip(first, columns[j], strict=True))
        columns[i], columns[j] = ([a if (a == b) == same else 0.0 for a, b in pairs] for same in (True, False))
        values[i], values[j] = k.b.fadd(values[i], values[j]), k.b.fsub(values[i], values[j])
    return list(zip(*columns, strict=True)), values


def _are_twins(a: Row, b: Row) -> bool:
    """Equal up to signs, with nonzero terms of both kinds."""
    if any(abs(x) != abs(y) for x, y in zip(a, b, strict=True)):
        return False
    return any(x == y != 0 for x, y in zip(a, b, strict=True)) and any(x != y for x, y in zip(a, b, strict=True))


def _dot(k: Kernel, row: Row, values: Sequence[Value]) -> Value:
    """The sum of the nonzero terms; those with factor one first, for they need no product."""
    terms = sorted(((c, v) for c, v in zip(row, values, strict=True) if c != 0), key=lambda term: term[0] != 1)
    factor, first = terms[0]
    total = first if factor == 1 else k.b.fmul(first, k.like(first, factor))
    for factor, value in terms[1:]:
        if factor == 1:
            total = k.b.fadd(total, value)
        elif factor == -1:
            total = k.b.fsub(total, value)
        else:
            total = k.fma(value, k.like(value, factor), total)
    return total


def load_square(k: Kernel, pointer: Value, size: int, row: Index, column: Index) -> list[list[Value]]:
    """``size x size`` registers, ``row`` and ``column`` elements apart."""
    return [
        [k.load(pointer, k.add(k.mul(i, row), k.mul(j, column)), align=4 * k.lanes) for j in range(size)]
        for i in range(size)
    ]


def store_positions(k: Kernel, values: Sequence[Sequence[Value]], pointer: Value, stride: Index) -> None:
    """Registers of all rows one after the other, ``stride`` elements apart."""
    for position, value in enumerate(v for line in values for v in line):
        k.store(value, pointer, k.mul(position, stride), align=4 * k.lanes)
